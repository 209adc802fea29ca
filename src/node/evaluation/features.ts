import type { FeatureExtractor, ImageFeatures } from '../../metrics/feature-extractor.ts';
import { joinedFloats } from '../../numerics/joined.ts';
import { alone } from '../../runtime/index.ts';
import type { Communicator } from '../../runtime/index.ts';
import { inRanks } from '../../sampling/index.ts';
import { sha256Of } from '../files.ts';
import { cacheKey } from './feature-cache.ts';
import type { FeatureCache, KeptFeatures } from './feature-cache.ts';
import type { ImageSet } from './image-set.ts';
import { hashedTogether, pixelHash } from './pixel-hash.ts';

/** Images whose features are computed and kept together. A multiple of common batches, so that few are filled up. */
const chunk = hashedTogether;
/** Bytes of a SHA-256, each of which goes between ranks as a number. */
const hashBytes = 32;

export interface FeatureOptions {
  /** Where features are kept and looked for; nowhere when left out. */
  readonly cache?: FeatureCache | undefined;
  /** What computes them, for keys: another engine or device may differ in the last digits. */
  readonly engine: string;
  readonly onProgress?: (done: number) => void;
  /** Processes that share the work, all of which are given all features; this one alone when left out. */
  readonly ranks?: Communicator;
  readonly signal?: AbortSignal | undefined;
}

/** Features of a whole set. */
export interface SetFeatures extends KeptFeatures {
  readonly count: number;
  /** How many of the images had theirs in the cache. */
  readonly fromCache: number;
  /** Hash of the pixels, see `pixelHash`; of samples that are drawn there is none. */
  readonly pixelsSha256?: string | undefined;
}

/**
 * Features of all images of a set, a thousand at a time, each of which is kept in the cache under the SHA-256 of its
 * pixels, or of the recipe by which they are drawn, of the extractor's weights and resizer, and of the engine.
 *
 * @throws FormatError of an image that can't be read; the signal's reason when it aborts
 */
export async function featuresOf(
  set: ImageSet,
  extractor: FeatureExtractor,
  { cache, engine, onProgress, ranks = alone, signal }: FeatureOptions,
): Promise<SetFeatures> {
  const { dimension, classes } = extractor;
  const countAt = (from: number): number => Math.min(chunk, set.length - from);
  let fromCache = 0;
  /** Features of one chunk, and the hash of its pixels. */
  const chunkAt = async (from: number): Promise<KeptFeatures & { readonly sha256: string | undefined }> => {
    const count = countAt(from);
    signal?.throwIfAborted();
    const how = [extractor.sha256, extractor.resizer, engine, set.shape.join()];
    let pixels: Uint8Array | undefined;
    const recipe = set.recipe?.(from, from + count);
    const what = recipe ?? (pixels = await set.read(from, from + count));
    const key = cacheKey([...how, what]);
    const sha256 = recipe === undefined && pixels ? sha256Of(pixels) : undefined;
    const known = await cache?.get(key, { count, dimension, classes });
    if (known) {
      fromCache += count;
      return { ...known, sha256 };
    }
    pixels ??= await set.read(from, from + count);
    const part = await inTurns(extractor, { pixels, shape: set.shape, count }, (done) => {
      signal?.throwIfAborted();
      onProgress?.(from + done);
    });
    const computed = { ...part, nfe: set.nfe?.() };
    await cache?.put(key, computed, count);
    return { ...computed, sha256 };
  };
  const features = new Float32Array(set.length * dimension);
  const logits = classes > 0 ? new Float32Array(set.length * classes) : undefined;
  const hashes: string[] = [];
  let evaluations = 0;
  const starts = Array.from({ length: Math.ceil(set.length / chunk) }, (_, i) => i * chunk);
  // A row has the features of a chunk, its logits, the hash of its pixels, and how often the network was evaluated for each
  // of its images.
  const size = chunk * (dimension + classes) + hashBytes + 1;
  const work = async ([from]: readonly number[]): Promise<Float32Array> => {
    const part = await chunkAt(from);
    const row = new Float32Array(size);
    row.set(part.features);
    if (part.logits) row.set(part.logits, part.features.length);
    if (part.sha256 !== undefined) row.set(Buffer.from(part.sha256, 'hex'), size - 1 - hashBytes);
    // Where it is not known, it is not known of the set.
    row[size - 1] = part.nfe ?? NaN;
    return row;
  };
  for await (const { items, values } of inRanks(ranks, starts, { batch: 1, size, work })) {
    for (const [i, from] of items.entries()) {
      const count = countAt(from);
      const row = values.subarray(i * size, (i + 1) * size);
      features.set(row.subarray(0, count * dimension), from * dimension);
      logits?.set(row.subarray(count * dimension, count * (dimension + classes)), from * classes);
      hashes.push(Buffer.from(row.subarray(size - 1 - hashBytes, size - 1)).toString('hex'));
      evaluations += row[size - 1] * count;
      onProgress?.(from + count);
    }
  }
  const found = Float32Array.of(fromCache);
  await ranks.allReduce(found);
  return {
    features,
    ...(logits && { logits }),
    count: set.length,
    fromCache: found[0],
    ...(set.recipe === undefined && { pixelsSha256: pixelHash(set.shape, hashes) }),
    ...(Number.isFinite(evaluations) && { nfe: Math.round(evaluations / set.length) }),
  };
}

/** Images between two signs of progress, about. */
const leastTurn = 64;

async function inTurns(
  extractor: FeatureExtractor,
  { pixels, shape, count }: { pixels: Uint8Array; shape: ImageSet['shape']; count: number },
  onProgress: (done: number) => void,
): Promise<ImageFeatures> {
  const size = shape[0] * shape[1] * shape[2];
  const turn = Math.ceil(leastTurn / extractor.batch) * extractor.batch;
  const parts: ImageFeatures[] = [];
  for (let first = 0; first < count; first += turn) {
    const here = Math.min(turn, count - first);
    const some = pixels.subarray(first * size, (first + here) * size);
    parts.push(await extractor.extract({ pixels: some, shape: [here, ...shape] }));
    // The engine's work blocks everything else: signals are seen between.
    await new Promise((resolve) => setImmediate(resolve));
    onProgress(first + here);
  }
  const logits = parts.flatMap((part) => part.logits ?? []);
  return {
    features: joinedFloats(parts.map(({ features }) => features)),
    ...(logits.length > 0 && { logits: joinedFloats(logits) }),
  };
}

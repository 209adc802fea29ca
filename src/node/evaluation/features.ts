import { joined } from '../../metrics/feature-extractor.ts';
import type { FeatureExtractor, ImageFeatures } from '../../metrics/feature-extractor.ts';
import { cacheKey } from './feature-cache.ts';
import type { FeatureCache, KeptFeatures } from './feature-cache.ts';
import type { ImageSet } from './image-set.ts';

/** Images whose features are computed and kept together. A multiple of common batches, so that few are filled up. */
const chunk = 960;

export interface FeatureOptions {
  /** Where features are kept and looked for; nowhere when left out. */
  readonly cache?: FeatureCache | undefined;
  /** What computes them, for keys: another engine or device may differ in the last digits. */
  readonly engine: string;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Features of a whole set. */
export interface SetFeatures extends KeptFeatures {
  readonly count: number;
  /** How many of the images had theirs in the cache. */
  readonly fromCache: number;
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
  { cache, engine, onProgress, signal }: FeatureOptions,
): Promise<SetFeatures> {
  const { dimension, classes } = extractor;
  const features = new Float32Array(set.length * dimension);
  const logits = classes > 0 ? new Float32Array(set.length * classes) : undefined;
  let fromCache = 0;
  let evaluations = 0;
  for (let from = 0; from < set.length; from += chunk) {
    const to = Math.min(from + chunk, set.length);
    signal?.throwIfAborted();
    const keep = (part: KeptFeatures): void => {
      features.set(part.features, from * dimension);
      if (part.logits) logits?.set(part.logits, from * classes);
      // Where it is not known, it is not known of the set.
      evaluations += (part.nfe ?? NaN) * (to - from);
    };
    const how = [extractor.sha256, extractor.resizer, engine, set.shape.join()];
    let pixels: Uint8Array | undefined;
    const recipe = set.recipe?.(from, to);
    const what = recipe ?? (pixels = await set.read(from, to));
    const key = cacheKey([...how, what]);
    const known = await cache?.get(key, { count: to - from, dimension, classes });
    if (known) {
      fromCache += to - from;
      keep(known);
      onProgress?.(to);
      continue;
    }
    pixels ??= await set.read(from, to);
    const part = await inTurns(extractor, { pixels, shape: set.shape, count: to - from }, (done) => {
      signal?.throwIfAborted();
      onProgress?.(from + done);
    });
    const computed = { ...part, nfe: set.nfe?.() };
    await cache?.put(key, computed, to - from);
    keep(computed);
  }
  return {
    features,
    ...(logits && { logits }),
    count: set.length,
    fromCache,
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
    features: joined(parts.map(({ features }) => features)),
    ...(logits.length > 0 && { logits: joined(logits) }),
  };
}

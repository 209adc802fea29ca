import { imageToFloat } from '../../data/pixels.ts';
import { UsageError } from '../../errors.ts';
import {
  compileRowProducts,
  featureStatistics,
  frechetDistance,
  gaussianDiscrepancy,
  inceptionScore,
  kernelInceptionDistance,
  manifoldMetrics,
  nearestImages,
  slicedWasserstein,
} from '../../metrics/index.ts';
import type { FeatureStatistics, RowProducts } from '../../metrics/index.ts';
import type { FeatureExtractor } from '../../metrics/feature-extractor.ts';
import type { Runtime } from '../../runtime/index.ts';
import type { SetFeatures } from './features.ts';
import type { ImageSet } from './image-set.ts';
import { pixelHasher } from './pixel-hash.ts';

/** What can be measured of images, in the order of reports. */
export const imageMetrics = ['fid', 'is', 'kid', 'pr', 'dc', 'memorization'] as const;
export type ImageMetric = (typeof imageMetrics)[number];

/** What can be measured of points. */
export const pointMetrics = ['swd', 'mmd'] as const;
export type PointMetric = (typeof pointMetrics)[number];

/** Settings that numbers depend on, beside the images and the features. */
export const settings = {
  inceptionSplits: 10,
  kidSubsets: 100,
  kidSubsetSize: 1000,
  kidSeed: 0,
  neighbours: 3,
  densityNeighbours: 5,
} as const;

/**
 * Results by name, each one number, in the order in which they are shown. Only with Inception are they called `fid` and
 * `kid`.
 */
export type Numbers = Readonly<Record<string, number>>;

/** The fewest images that a metric can be computed of: samples, and those of the reference. */
export const fewestImages: Readonly<Record<ImageMetric, { readonly samples: number; readonly reference: number }>> = {
  fid: { samples: 2, reference: 2 },
  is: { samples: settings.inceptionSplits, reference: 0 },
  kid: { samples: 2, reference: 2 },
  // Both are computed together.
  pr: { samples: settings.neighbours + 1, reference: settings.densityNeighbours + 1 },
  dc: { samples: settings.neighbours + 1, reference: settings.densityNeighbours + 1 },
  memorization: { samples: 1, reference: 1 },
};

/** Metrics that compare single features, for which mean and covariance do not do. */
export const needsFeatures = (name: ImageMetric): boolean => name === 'kid' || name === 'pr' || name === 'dc';

/** What samples are compared with: moments for the Fréchet distance, and features for what needs these. */
export interface Reference {
  readonly statistics?: Pick<FeatureStatistics, 'mu' | 'sigma'> | undefined;
  readonly features?: SetFeatures | undefined;
}

/**
 * Measures features of samples against a reference.
 *
 * @param wanted  metrics; memorisation is not among those that features tell of
 * @throws UsageError when a metric needs what the reference or the extractor has not, or more images
 */
export async function measureFeatures(
  samples: SetFeatures,
  reference: Reference,
  wanted: readonly ImageMetric[],
  { runtime, extractor, signal }: { runtime: Runtime; extractor: FeatureExtractor; signal?: AbortSignal | undefined },
): Promise<Numbers> {
  const { dimension, classes } = extractor;
  const numbers: Record<string, number> = {};
  if (wanted.includes('fid')) {
    if (!reference.statistics)
      throw new UsageError('--metrics fid: needs the mean and covariance of the reference, and there is none.');
    const statistics = featureStatistics(samples.features, dimension);
    numbers[extractor.isInception ? 'fid' : 'frechetDistance'] = frechetDistance(
      statistics,
      reference.statistics,
    ).distance;
  }
  if (wanted.includes('is')) {
    if (!samples.logits)
      throw new UsageError(
        `--metrics is: the Inception Score needs the logits of Inception, and ${extractor.name} has none.`,
      );
    const { mean, standardDeviation } = inceptionScore(samples.logits, { classes, splits: settings.inceptionSplits });
    Object.assign(numbers, { is: mean, isStd: standardDeviation });
  }
  const ofSets = wanted.filter(needsFeatures);
  if (ofSets.length === 0) return numbers;
  const { features } = reference;
  if (!features)
    throw new UsageError(
      `--metrics ${ofSets.join(',')}: needs the images of the reference; a file of statistics has only their mean and covariance.`,
    );
  if (wanted.includes('kid')) {
    const subsetSize = kidSubsetSize(features.count, samples.count);
    const { mean, standardDeviation } = await withProducts(
      runtime,
      dimension,
      { rows: subsetSize, signal },
      (products) =>
        kernelInceptionDistance(features.features, samples.features, {
          ...{ dimension, subsetSize, products },
          subsets: settings.kidSubsets,
          seed: settings.kidSeed,
        }),
    );
    const name = extractor.isInception ? 'kid' : 'kernelDistance';
    Object.assign(numbers, { [name]: mean, [`${name}Std`]: standardDeviation });
  }
  if (wanted.includes('pr') || wanted.includes('dc')) {
    const rows = Math.max(features.count, samples.count);
    const { precision, recall, density, coverage } = await withProducts(
      runtime,
      dimension,
      { rows, signal },
      (products) =>
        manifoldMetrics(features.features, samples.features, {
          ...{ dimension, products },
          k: settings.neighbours,
          densityK: settings.densityNeighbours,
        }),
    );
    if (wanted.includes('pr')) Object.assign(numbers, { precision, recall });
    if (wanted.includes('dc')) Object.assign(numbers, { density, coverage });
  }
  return numbers;
}

/**
 * Does something with products of rows on the engine, which is freed afterwards. It can be stopped between two products.
 *
 * @param rows  the most rows that are multiplied at a time
 */
async function withProducts<T>(
  runtime: Runtime,
  dimension: number,
  { rows, signal }: { rows: number; signal?: AbortSignal | undefined },
  work: (products: RowProducts) => Promise<T>,
): Promise<T> {
  const engine = await compileRowProducts(runtime, dimension, { rows });
  try {
    return await work(async (a, b, d) => {
      // The engine's work blocks everything else: signals are seen between.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      return engine.products(a, b, d);
    });
  } finally {
    await engine.release();
  }
}

/** Images in a subset of KID: 1000, or all of the smaller set. */
export const kidSubsetSize = (...counts: readonly number[]): number => Math.min(settings.kidSubsetSize, ...counts);

/** How near samples come to single training images. */
export interface Memorization {
  readonly numbers: Numbers;
  /** Samples and the training images nearest to them in turn, [2 K, C, H, W], the most suspicious pair first. */
  readonly pairs: Uint8Array;
  readonly pairCount: number;
  /** Hash of the pixels of the training images, see `pixelHash`. */
  readonly trainingSha256: string;
}

/** Pairs in the picture. */
const shownPairs = 32;
/** A sample whose nearest training image is this much nearer than the second counts as a copy. Yoon et al. 2023. */
const copyRatio = 1 / 3;

/**
 * Looks for the training image nearest to each of the first samples, in pixels. Training images are read a thousand at a
 * time.
 *
 * @param count  samples to look at
 * @throws UsageError when samples and training images differ in size
 */
export async function measureMemorization(
  samples: ImageSet,
  training: ImageSet,
  {
    count,
    runtime,
    onProgress,
  }: { count: number; runtime: Runtime; onProgress?: (done: number, total: number) => void },
): Promise<Memorization> {
  if (samples.shape.join() !== training.shape.join())
    throw new UsageError(
      `--metrics memorization compares pixels: ${samples.name} has images [${samples.shape.join(', ')}], ${training.name} [${training.shape.join(', ')}].`,
    );
  const looked = Math.min(count, samples.length);
  const size = samples.shape[0] * samples.shape[1] * samples.shape[2];
  const pixels = await samples.read(0, looked);
  const hasher = pixelHasher(training.shape);
  const dataset = {
    name: training.name,
    length: training.length,
    sampleShape: training.shape,
    block: async (from: number, to: number) => {
      const block = await training.read(from, to);
      hasher.add(block);
      return imageToFloat(block);
    },
  };
  const engine = await compileRowProducts(runtime, size);
  const { products } = engine;
  try {
    const { index, distance, secondDistance } = await nearestImages(imageToFloat(pixels), dataset, {
      products,
      ...(onProgress && { progress: onProgress }),
    });
    const ratios = distance.map((each, i) => (secondDistance[i] > 0 ? each / secondDistance[i] : 1));
    const order = [...ratios.keys()].sort((a, b) => ratios[a] - ratios[b] || a - b).slice(0, shownPairs);
    const pairs = new Uint8Array(2 * order.length * size);
    for (const [at, i] of order.entries()) {
      pairs.set(pixels.subarray(i * size, (i + 1) * size), 2 * at * size);
      pairs.set(await training.read(index[i], index[i] + 1), (2 * at + 1) * size);
    }
    const sorted = distance.slice().sort();
    return {
      numbers: {
        nearestMedian: sorted[Math.floor((looked - 1) / 2)],
        nearestMin: sorted[0],
        copies: ratios.filter((ratio, i) => ratio < copyRatio || distance[i] === 0).length / looked,
      },
      pairs,
      pairCount: order.length,
      trainingSha256: hasher.digest(),
    };
  } finally {
    await engine.release();
  }
}

/** Measures points [N, d] against others. @param bandwidth of the kernel of MMD, one for all that is compared */
export function measurePoints(
  samples: Float32Array,
  reference: Float32Array,
  wanted: readonly PointMetric[],
  { dimension, bandwidth }: { dimension: number; bandwidth: number },
): Numbers {
  return {
    ...(wanted.includes('swd') && { swd: slicedWasserstein(samples, reference, { dimension }) }),
    ...(wanted.includes('mmd') && { mmd: gaussianDiscrepancy(samples, reference, { dimension, bandwidth }).squared }),
  };
}

import { memoryDataset } from '../../data/dataset.ts';
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
import type { FeatureStatistics } from '../../metrics/index.ts';
import type { FeatureExtractor } from '../../metrics/feature-extractor.ts';
import type { Runtime } from '../../runtime/index.ts';
import type { SetFeatures } from './features.ts';
import type { ImageSet } from './image-set.ts';

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

/** What samples are compared with: moments, and features and images where these are at hand. */
export interface Reference {
  readonly statistics: Pick<FeatureStatistics, 'mu' | 'sigma'>;
  readonly features?: SetFeatures | undefined;
  readonly images?: ImageSet | undefined;
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
  { runtime, extractor }: { runtime: Runtime; extractor: FeatureExtractor },
): Promise<Numbers> {
  const { dimension, classes } = extractor;
  const numbers: Record<string, number> = {};
  if (wanted.includes('fid')) {
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
  const ofSets = wanted.filter((name) => name === 'kid' || name === 'pr' || name === 'dc');
  if (ofSets.length === 0) return numbers;
  const { features } = reference;
  if (!features)
    throw new UsageError(
      `--metrics ${ofSets.join(',')}: needs the images of the reference; a file of statistics has only their mean and covariance.`,
    );
  const engine = await compileRowProducts(runtime, dimension);
  const { products } = engine;
  try {
    if (wanted.includes('kid')) {
      const { mean, standardDeviation } = await kernelInceptionDistance(features.features, samples.features, {
        dimension,
        subsets: settings.kidSubsets,
        subsetSize: kidSubsetSize(features.count, samples.count),
        seed: settings.kidSeed,
        products,
      });
      const name = extractor.isInception ? 'kid' : 'kernelDistance';
      Object.assign(numbers, { [name]: mean, [`${name}Std`]: standardDeviation });
    }
    if (wanted.includes('pr') || wanted.includes('dc')) {
      const { precision, recall, density, coverage } = await manifoldMetrics(features.features, samples.features, {
        dimension,
        k: settings.neighbours,
        densityK: settings.densityNeighbours,
        products,
      });
      if (wanted.includes('pr')) Object.assign(numbers, { precision, recall });
      if (wanted.includes('dc')) Object.assign(numbers, { density, coverage });
    }
    return numbers;
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
}

/** Pairs in the picture. */
const shownPairs = 32;
/** A sample whose nearest training image is this much nearer than the second counts as a copy. Yoon et al. 2023. */
const copyRatio = 1 / 3;

/**
 * Looks for the training image nearest to each of the first samples, in pixels.
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
  const data = await training.read(0, training.length);
  const dataset = memoryDataset({ name: training.name, data, sampleShape: training.shape });
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
    order.forEach((i, at) => {
      pairs.set(pixels.subarray(i * size, (i + 1) * size), 2 * at * size);
      pairs.set(data.subarray(index[i] * size, (index[i] + 1) * size), (2 * at + 1) * size);
    });
    const sorted = distance.slice().sort();
    return {
      numbers: {
        nearestMedian: sorted[Math.floor((looked - 1) / 2)],
        nearestMin: sorted[0],
        copies: ratios.filter((ratio, i) => ratio < copyRatio || distance[i] === 0).length / looked,
      },
      pairs,
      pairCount: order.length,
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

import type { Dataset } from '../data/dataset.ts';
import { UsageError } from '../errors.ts';
import { mean, median, standardError } from '../numerics/statistics.ts';
import { compileDetailedPosterior } from '../objective/index.ts';
import type { DetailedPosteriorValues } from '../objective/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { drawNoisySamples } from './noisy-samples.ts';
import { phaseBorders } from './phase-borders.ts';
import type { PhaseBorders, PhaseDistances } from './phase-borders.ts';
import { posteriorMeasures } from './posterior-measures.ts';

/** A mean over noisy samples with its standard error; NaN for the error of one sample. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
}

/** What the posterior over a data set is like at one noise level, over random noisy samples of it. */
export interface PhaseLevel extends PhaseDistances {
  /** Noisy samples. */
  readonly images: number;
  /** Trace of the posterior covariance: the variance of the DSM target in denoiser form, squared data units. */
  readonly variance: Estimate;
  /** Entropy of the posterior, nats. */
  readonly entropy: Estimate;
  /** Effective number of sources 1 / Σ w². */
  readonly effectiveSources: Estimate;
  readonly medianSources: number;
  /** KL divergence from the prior, nats. */
  readonly klToPrior: Estimate;
  /** Total variation to the prior, and to the point mass at the most likely source. */
  readonly toPrior: Estimate;
  readonly toPoint: Estimate;
  /** Posterior weight of the source. */
  readonly sourceWeight: Estimate;
  /** How often the nearest sample of the data set is the source. */
  readonly nearestIsSource: Estimate;
}

export interface PhaseAnalysis {
  readonly levels: readonly PhaseLevel[];
  readonly borders: PhaseBorders;
  /** Samples of the data set, N. */
  readonly sources: number;
}

export interface PhaseOptions {
  /** Noise levels, rising. */
  readonly sigmas: readonly number[];
  /** Noisy samples a level. */
  readonly images: number;
  readonly seed: number;
  /** Noisy samples taken at a time. Default: up to 256. */
  readonly batch?: number;
  /** References taken at a time. Default: up to 2048. */
  readonly block?: number;
  /** Is told how many noisy samples are done; may throw to stop. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The exact posterior over a whole data set at each of several noise levels, and the borders of the three phases of the
 * score field (Xu et al. 2023, Sect. 3). The posterior depends on the process only through σ.
 *
 * @throws UsageError when noise levels do not rise from above 0
 */
export async function analyzePhases(runtime: Runtime, dataset: Dataset, options: PhaseOptions): Promise<PhaseAnalysis> {
  const { sigmas, images, seed, onProgress } = options;
  requireRising(sigmas);
  const batch = Math.min(images, options.batch ?? 256);
  const block = Math.min(dataset.length, options.block ?? 2048);
  const posterior = await compileDetailedPosterior(runtime, dataset, { samples: batch, block });
  const levels: PhaseLevel[] = [];
  try {
    for (const [index, sigma] of sigmas.entries()) {
      const measured: SampleMeasures[] = [];
      const all = drawNoisySamples(dataset, { sigma, level: index, count: images, seed });
      for (let at = 0; at < images; at += batch) {
        const count = Math.min(batch, images - at);
        const size = all.clean.length / images;
        const part = {
          clean: all.clean.subarray(at * size, (at + count) * size),
          noise: all.noise.subarray(at * size, (at + count) * size),
          sigma: all.sigma.subarray(at, at + count),
        };
        measured.push(...sampleMeasures(await posterior.over(part), all.sources.subarray(at, at + count)));
        onProgress?.(index * images + at + count, sigmas.length * images);
      }
      levels.push(summarize(sigma, measured));
    }
  } finally {
    await posterior.release();
  }
  return { levels, borders: phaseBorders(levels), sources: dataset.length };
}

/** Measures of one noisy sample whose source is known. */
export interface SampleMeasures extends ReturnType<typeof posteriorMeasures> {
  readonly variance: number;
  readonly sourceWeight: number;
  /** Whether no sample of the data set is nearer than the source. */
  readonly isNearest: boolean;
}

/** Measures of each noisy sample. @param sources  its row among the references [S] */
export function sampleMeasures(
  { logWeights, variance }: Pick<DetailedPosteriorValues, 'logWeights' | 'variance'>,
  sources: ArrayLike<number>,
): SampleMeasures[] {
  const count = logWeights.length / sources.length;
  return Array.from({ length: sources.length }, (_, s) => {
    const row = logWeights.subarray(s * count, (s + 1) * count);
    const measures = posteriorMeasures(row);
    const below = row[sources[s]] - row[measures.mostLikely];
    return {
      ...measures,
      variance: variance[s],
      sourceWeight: measures.largestWeight * Math.exp(below),
      isNearest: below === 0,
    };
  });
}

/** Means over the noisy samples of one level. */
export function summarize(sigma: number, measured: readonly SampleMeasures[]): PhaseLevel {
  const estimate = (value: (each: SampleMeasures) => number): Estimate => estimateOf(measured.map(value));
  const toPrior = estimate((each) => each.distanceToPrior);
  const toPoint = estimate((each) => each.distanceToPoint);
  return {
    sigma,
    images: measured.length,
    variance: estimate((each) => each.variance),
    entropy: estimate((each) => each.entropy),
    effectiveSources: estimate((each) => each.effectiveSources),
    medianSources: median(measured.map((each) => each.effectiveSources)),
    klToPrior: estimate((each) => each.klToPrior),
    toPrior,
    toPoint,
    distanceToPrior: toPrior.mean,
    distanceToPoint: toPoint.mean,
    sourceWeight: estimate((each) => each.sourceWeight),
    nearestIsSource: estimate((each) => Number(each.isNearest)),
  };
}

/** Mean and standard error of independent values. */
export const estimateOf = (values: ArrayLike<number>): Estimate => ({
  mean: mean(values),
  standardError: values.length > 1 ? standardError(values) : NaN,
});

/** @throws UsageError unless the noise levels rise from above 0 */
export function requireRising(sigmas: readonly number[]): void {
  const isRising = sigmas.every((sigma, i) => sigma > (i === 0 ? 0 : sigmas[i - 1]) && Number.isFinite(sigma));
  if (sigmas.length === 0 || !isRising)
    throw new UsageError(`analysis: noise levels must rise from above 0, got ${sigmas.join(', ') || 'none'}.`);
}

/** Noise levels evenly spaced in ln σ from `min` to `max`, both included. */
export const logSpaced = (min: number, max: number, count: number): number[] =>
  count === 1
    ? [Math.sqrt(min * max)]
    : Array.from({ length: count }, (_, i) =>
        i === count - 1 ? max : Math.exp(Math.log(min) + (i / (count - 1)) * Math.log(max / min)),
      );

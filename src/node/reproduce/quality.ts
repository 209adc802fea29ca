import { sampleSize } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { fillNoiseLevels, lossWeight, makeDenoiser } from '../../diffusion/index.ts';
import { constant, evaluate } from '../../graph/index.ts';
import { noiseEstimates } from '../../metrics/noise-estimate.ts';
import { slicedWasserstein } from '../../metrics/sliced-wasserstein.ts';
import { sampleShapeOf } from '../../networks/index.ts';
import { parameterTable } from '../../nn/index.ts';
import { fillNormal, streams } from '../../numerics/random.ts';
import { mean, quantile } from '../../numerics/statistics.ts';
import { compileStreamedPosterior } from '../../objective/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { compileDenoiser, generateWith } from '../../sampling/index.ts';
import { rangeNames } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import type { ClaimDatasets } from './claim-data.ts';

/** How closely networks are looked at. */
export interface QualityOptions {
  /** Noise levels, at equal shares of the training distribution. */
  readonly levels: number;
  /** Noisy samples at each of them. */
  readonly perLevel: number;
  /** Samples drawn to compare with held-out ones. */
  readonly drawn: number;
}

type RangeName = (typeof rangeNames)[number];

/** How good a denoiser is. */
export interface Quality {
  /**
   * How far the loss is above the lowest that any denoiser can have on the training set, for each value of a sample:
   * λ(σ) |D(x; σ) - E[clean | x]|² / d, E[clean | x] being the exact posterior mean over all training samples. DSM and the
   * stable target have the same minimum, and this is free of the noise of either target.
   */
  readonly excessLoss: number;
  /** The same at low, middle and high noise; NaN where the range has no level. */
  readonly excessLossIn: Readonly<Record<RangeName, number>>;
  /** Sliced Wasserstein-1 distance of drawn samples from held-out ones, data units. */
  readonly slicedWasserstein: number;
  /** Share of drawn images that look noisier than 99 % of held-out ones; see `noiseEstimates`. */
  readonly noisyShare: number;
}

export interface QualityMeter {
  /** Quality of weights, and the samples that it was measured on [drawn, ...sampleShape]. */
  measure(weights: Float32Array): Promise<{ quality: Quality; samples: Float32Array }>;
  /** `slicedWasserstein` of as many training samples: what a perfect sampler would have. */
  readonly floor: number;
  release(): Promise<void>;
}

/** Directions that distances are averaged over. */
export const wassersteinOptions = (dimension: number) => ({ dimension, projections: 64 });

/** Samples drawn at a time. */
const drawnAtATime = 1024;

/** Noisy samples of which the exact posterior mean is known, at one noise level. */
interface Level {
  readonly sigma: number;
  /** λ(σ) / d */
  readonly weight: number;
  readonly range: RangeName;
  readonly x: Float64Array;
  readonly mean: Float64Array;
}

/** Prepares to measure networks of one recipe; all are measured on the same noisy samples and latents. */
export async function qualityMeter(
  runtime: Runtime,
  { train, heldOut }: ClaimDatasets,
  options: Omit<TrainingOptions, 'objective' | 'seed'>,
  { levels: count, perLevel, drawn }: QualityOptions,
): Promise<QualityMeter> {
  const { denoiser: config } = options;
  const dimension = sampleSize(train);
  const levels = await noisyLevels(runtime, train, options, { count, perLevel });
  const held = valuesOf(heldOut, Math.min(heldOut.length, 10_000));
  const threshold = quantile(noiseEstimates(held, train.sampleShape), 0.99);
  const table = parameterTable((source) => makeDenoiser(source, config));
  const state = runtime.createState({ ema: { shape: [table.size], dtype: 'float32' } });
  const denoiser = await compileDenoiser(runtime, config, { batch: perLevel, state, entry: 'ema' });
  const sampler = await compileDenoiser(runtime, config, {
    batch: Math.min(drawn, Math.max(1, Math.min(drawnAtATime, Math.floor(2 ** 18 / dimension)))),
    state,
    entry: 'ema',
  });
  const seeds = Array.from({ length: drawn }, (_, seed) => seed);
  const { count: _, ...heun } = options.samples;
  return {
    floor: slicedWasserstein(valuesOf(train, Math.min(drawn, train.length)), held, wassersteinOptions(dimension)),
    measure: async (weights) => {
      state.write('ema', weights);
      const errors: { range: RangeName; error: number }[] = [];
      for (const { sigma, weight, range, x, mean: exact } of levels) {
        const denoised = await denoiser.denoise(x, sigma);
        let squares = 0;
        for (let i = 0; i < x.length; i++) squares += (denoised[i] - exact[i]) ** 2;
        errors.push({ range, error: (weight * squares) / perLevel });
      }
      const samples = await generateWith(sampler, sampleShapeOf(config.network), seeds, heun);
      const noisy = noiseEstimates(samples, train.sampleShape).filter((estimate) => estimate > threshold).length;
      const meanIn = (name?: RangeName): number => {
        const found = errors.filter(({ range }) => name === undefined || range === name);
        return found.length === 0 ? NaN : mean(found.map(({ error }) => error));
      };
      return {
        samples,
        quality: {
          excessLoss: meanIn(),
          excessLossIn: { low: meanIn('low'), mid: meanIn('mid'), high: meanIn('high') },
          slicedWasserstein: slicedWasserstein(samples, held, wassersteinOptions(dimension)),
          noisyShare: noisy / drawn,
        },
      };
    },
    release: async () => {
      await denoiser.release();
      await sampler.release();
    },
  };
}

/** Draws of noise levels of which the quantiles are taken. */
const drawnLevels = 4096;

/** Training samples, noisy at the middles of equal shares of the training distribution of σ. */
async function noisyLevels(
  runtime: Runtime,
  train: Dataset,
  { noiseLevels, denoiser, weighting, sigmaRanges }: Omit<TrainingOptions, 'objective' | 'seed'>,
  { count, perLevel }: { count: number; perLevel: number },
): Promise<Level[]> {
  const dimension = sampleSize(train);
  const draws = new Float64Array(drawnLevels);
  fillNoiseLevels(draws, noiseLevels, { seed: 0, stream: streams.evaluation, step: 0, sample: 0 });
  const posterior = await compileStreamedPosterior(runtime, train, {
    samples: perLevel,
    block: Math.min(train.length, 2048),
  });
  const levels: Level[] = [];
  for (let k = 0; k < count; k++) {
    const sigma = Math.fround(quantile(draws, (k + 0.5) / count));
    const clean = new Float32Array(perLevel * dimension);
    const noise = new Float32Array(perLevel * dimension);
    for (let i = 0; i < perLevel; i++) {
      // Spread over the set, other samples at every level.
      train.read((i * 97 + k * 13) % train.length, clean, i * dimension);
      const address = { seed: 0, stream: streams.evaluation, step: k + 1, sample: i };
      fillNormal(noise.subarray(i * dimension, (i + 1) * dimension), address);
    }
    const found = await posterior.over({ clean, noise, sigma: new Float32Array(perLevel).fill(sigma) });
    const [weight] = evaluate([lossWeight(denoiser.preconditioning, constant([sigma], [1]), weighting)])[0].data;
    levels.push({
      sigma,
      weight: Number(weight) / dimension,
      range: rangeNames[sigma < sigmaRanges[0] ? 0 : sigma < sigmaRanges[1] ? 1 : 2],
      x: Float64Array.from(clean, (value, i) => value + sigma * noise[i]),
      mean: found.mean,
    });
  }
  await posterior.release();
  return levels;
}

/** The first samples of a set [count, ...sampleShape]. */
export function valuesOf(dataset: Dataset, count: number): Float32Array {
  const size = sampleSize(dataset);
  const values = new Float32Array(count * size);
  for (let i = 0; i < count; i++) dataset.read(i, values, i * size);
  return values;
}

import type { DenoiserConfig, SigmaRange } from '../diffusion/index.ts';
import { sizeOf } from '../graph/index.ts';
import type { Precision } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { fillNormal, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import { compileDenoiser } from './denoiser-program.ts';
import type { CompiledDenoiser } from './denoiser-program.ts';
import { heunSampler } from './heun.ts';
import type { HeunOptions } from './heun.ts';

/**
 * Unit normal latents, one random stream a seed: [seeds.length, ...sampleShape], flat.
 *
 * @throws UsageError for a seed that is no integer in [0, 2^53)
 */
export function drawLatents(seeds: readonly number[], sampleShape: readonly number[]): Float64Array {
  const size = sizeOf(sampleShape);
  const latents = new Float64Array(seeds.length * size);
  seeds.forEach((seed, i) => {
    fillNormal(latents.subarray(i * size, (i + 1) * size), { seed, stream: streams.latents, step: 0, sample: 0 });
  });
  return latents;
}

export interface GenerateOptions extends Omit<HeunOptions, 'onStep' | 'roundSigma'> {
  /** Class of each sample, by position in `seeds`. */
  readonly labels?: ArrayLike<number>;
  /** Told after each step of each batch. */
  readonly onProgress?: (progress: {
    readonly samplesDone: number;
    readonly samples: number;
    readonly evaluations: number;
  }) => void;
}

/** The noise levels between which a sampler runs, moved into those for which a network is made. */
export const withinRange = (
  { sigmaMin, sigmaMax }: Pick<HeunOptions, 'sigmaMin' | 'sigmaMax'>,
  { min, max }: SigmaRange,
): Pick<HeunOptions, 'sigmaMin' | 'sigmaMax'> => ({
  sigmaMin: Math.max(sigmaMin, min),
  sigmaMax: Math.min(sigmaMax, max),
});

/**
 * Draws one sample for each seed with EDM's deterministic sampler. Karras et al. 2022, Algorithm 1. The sample of a seed
 * is the same up to rounding whatever the other seeds and the batch: its latents depend on the seed alone, but engines may
 * sum in another order for another compiled batch size. As in EDM's code, the sampler stays within the noise levels for
 * which the network is made, and visits only levels that it knows.
 *
 * @param sampleShape  shape of one sample, as the denoiser's network has it
 * @param seeds        one integer in [0, 2^53) a sample
 * @returns            samples [seeds.length, ...sampleShape] in data units
 * @throws UsageError for a seed out of range, and for steps or noise levels that the sampler can't use
 */
export async function generateWith(
  denoiser: CompiledDenoiser,
  sampleShape: readonly number[],
  seeds: readonly number[],
  options: GenerateOptions,
): Promise<Float32Array> {
  const size = sizeOf(sampleShape);
  const samples = new Float32Array(seeds.length * size);
  const { labels, onProgress, ...heun } = options;
  for (let start = 0; start < seeds.length; start += denoiser.batch) {
    const some = seeds.slice(start, start + denoiser.batch);
    const classes = labels && Array.from({ length: some.length }, (_, i) => labels[start + i]);
    const drawn = await heunSampler((x, sigma) => denoiser.denoise(x, sigma, classes), drawLatents(some, sampleShape), {
      ...heun,
      ...withinRange(heun, denoiser.sigmaRange),
      roundSigma: (sigma) => denoiser.roundSigma(sigma),
      onStep: ({ index }) =>
        onProgress?.({
          samplesDone: start + (some.length * (index + 1)) / heun.steps,
          samples: seeds.length,
          evaluations: denoiser.evaluations,
        }),
    });
    samples.set(drawn, start * size);
  }
  return samples;
}

/**
 * Compiles a denoiser with fixed weights, draws one sample for each seed, and frees it. See `generateWith`.
 *
 * @param weights  flat vector in the order of the parameter table
 * @param batch      samples drawn at a time, at least 1; changes results by rounding only
 * @param precision  in what the network's products are computed
 * @returns        samples [seeds.length, ...sampleShape] in data units
 */
export async function generate(
  runtime: Runtime,
  config: DenoiserConfig,
  weights: Float32Array,
  seeds: readonly number[],
  { batch, precision = 'float32', ...options }: GenerateOptions & { batch: number; precision?: Precision },
): Promise<Float32Array> {
  if (seeds.length === 0) return new Float32Array(0);
  const denoiser = await compileDenoiser(runtime, config, { batch: Math.min(batch, seeds.length), precision, weights });
  try {
    return await generateWith(denoiser, sampleShapeOf(config.network), seeds, options);
  } finally {
    await denoiser.release();
  }
}

import type { DenoiserConfig } from '../diffusion/index.ts';
import type { Precision } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { compileDenoiser, requireBatch } from './denoiser-program.ts';
import type { CompiledDenoiser } from './denoiser-program.ts';
import type { EdmOptions } from './edm.ts';
import { requireFiniteSamples, requireFiniteWeights } from './finite.ts';
import { guided } from './guidance.ts';
import type { SamplerStep } from './hooks.ts';
import { drawLatents, samplerNoise } from './noise.ts';
import { runSampler, withinLevels } from './samplers.ts';
import type { SamplerConfig } from './samplers.ts';

/** A sampler with its options; EDM's where no kind is named. */
export type GenerateOptions = (SamplerConfig | (EdmOptions & { readonly kind?: undefined })) & {
  /** Class of each sample, by position in `seeds`. */
  readonly labels?: ArrayLike<number>;
  /** Weight of the class where the network can do without one; 1, no guidance, when left out. See `guided`. */
  readonly guidance?: number;
  /** Told after each step of each batch. */
  readonly onProgress?: (progress: {
    readonly samplesDone: number;
    readonly samples: number;
    readonly evaluations: number;
  }) => void;
  /** Told after each step of each batch what has been reached, and by the samples of which seeds. */
  readonly onStep?: (step: SamplerStep, seeds: readonly number[]) => void;
};

/**
 * Draws one sample for each seed, with EDM's deterministic sampler unless another is named. The sample of a seed is the
 * same up to rounding whatever the other seeds and the batch: its latents and its noise depend on the seed alone, but
 * engines may sum in another order for another compiled batch size. Two choices give that up, as their literature does: the
 * adaptive steps of rk45, within its tolerance, and Langevin steps with `norms: 'batch'`. As in EDM's code, samplers on
 * noise levels stay within those for which the network is made, and start and end their steps at levels that it knows.
 * Predictor-corrector and rk45 ask at the levels of their process, of which ve and edm are moved into that range.
 *
 * @param denoiser     its `batch` is the number of samples drawn at a time
 * @param sampleShape  shape of one sample, as the denoiser's network has it
 * @param seeds        one integer in [0, 2^53) a sample
 * @returns            samples [seeds.length, ...sampleShape] in data units
 * @throws UsageError for a seed out of range, and for steps or noise levels that the sampler can't use
 * @throws NonFiniteError when a sample is NaN or infinite, as those of a network are whose training diverged
 */
export async function generateWith(
  denoiser: CompiledDenoiser,
  sampleShape: readonly number[],
  seeds: readonly number[],
  options: GenerateOptions,
): Promise<Float32Array> {
  const { sampleSize } = denoiser;
  const samples = new Float32Array(seeds.length * sampleSize);
  const { labels, guidance = 1, onProgress, onStep, ...chosen } = options;
  const config = withinLevels(chosen.kind === undefined ? { ...chosen, kind: 'edm' } : chosen, denoiser.sigmaRange);
  for (let start = 0; start < seeds.length; start += denoiser.batch) {
    const some = seeds.slice(start, start + denoiser.batch);
    const classes = labels && Array.from({ length: some.length }, (_, i) => labels[start + i]);
    const denoise = guided(
      (x, sigma) => denoiser.denoise(x, sigma, classes),
      (x, sigma) => denoiser.denoise(x, sigma),
      classes ? guidance : 1,
    );
    const drawn = await runSampler(denoise, drawLatents(some, sampleShape), config, {
      sampleSize,
      noise: samplerNoise(some, sampleShape),
      roundSigma: (sigma) => denoiser.roundSigma(sigma),
      onStep: (step) => {
        onStep?.(step, some);
        onProgress?.({
          samplesDone: start + some.length * step.done,
          samples: seeds.length,
          evaluations: denoiser.evaluations,
        });
      },
    });
    samples.set(drawn, start * sampleSize);
    requireFiniteSamples(samples.subarray(start * sampleSize, (start + some.length) * sampleSize), some);
  }
  return samples;
}

/**
 * Compiles a denoiser with fixed weights, draws one sample for each seed, and frees it. See `generateWith`.
 *
 * @param weights  flat vector in the order of the parameter table
 * @param seeds    one integer in [0, 2^53) a sample; none give no samples
 * @param options  those of `generateWith`, and `batch`, samples drawn at a time, at least 1, which changes results as said
 *                 there; `precision`, in what the network's products are computed, float32 when left out
 * @returns        samples [seeds.length, ...sampleShape] in data units
 * @throws as `generateWith` and `compileDenoiser`; NonFiniteError when a weight is NaN or infinite
 */
export async function generate(
  runtime: Runtime,
  config: DenoiserConfig,
  weights: Float32Array,
  seeds: readonly number[],
  { batch, precision = 'float32', ...options }: GenerateOptions & { batch: number; precision?: Precision },
): Promise<Float32Array> {
  if (seeds.length === 0) return new Float32Array(0);
  requireBatch(batch);
  requireFiniteWeights(weights);
  const denoiser = await compileDenoiser(runtime, config, { batch: Math.min(batch, seeds.length), precision, weights });
  try {
    return await generateWith(denoiser, sampleShapeOf(config.network), seeds, options);
  } finally {
    await denoiser.release();
  }
}

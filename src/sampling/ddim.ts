import { UsageError } from '../errors.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks } from './hooks.ts';
import { requireNoise } from './noise.ts';

export interface DdimOptions {
  /** Falling noise levels [steps + 1], data units; the last is 0 for clean samples. */
  readonly levels: Float64Array;
  /** How random the steps are: 0 deterministic, 1 as DDPM's ancestral sampling. */
  readonly eta: number;
}

/**
 * Denoising diffusion implicit models. Song, Meng and Ermon 2021, Eq. 12 and 16. From noise level σ to σ' of the samples
 * before scaling, where the process's scale drops out:
 *
 *   x' = D + √(σ'² - ς²) (x - D) / σ + ς z,   ς² = η² σ'² (1 - σ'² / σ²).
 *
 * With η = 0 these are Euler's steps of the probability-flow ODE in σ.
 *
 * @param denoise  the denoiser; called once a step
 * @param latents  unit normal starting points [N, ...], flat; they are scaled to the first level
 * @param options  `noise` is asked for draw i at step i, if eta is above 0
 * @returns        samples at the last level, as many values, in data units
 * @throws UsageError for levels that do not fall or an eta outside [0, 1]
 */
export async function ddimSampler(
  denoise: Denoise,
  latents: Float64Array,
  { levels, eta, noise, onStep }: DdimOptions & Pick<SamplerHooks, 'noise' | 'onStep'>,
): Promise<Float64Array> {
  requireFalling(levels);
  if (!(eta >= 0 && eta <= 1)) throw new UsageError(`eta must be from 0 to 1, got ${eta}.`);
  const steps = levels.length - 1;
  let x = latents.map((value) => value * levels[0]);
  for (let index = 0; index < steps; index++) {
    const [sigma, next] = [levels[index], levels[index + 1]];
    const denoised = await denoise(x, sigma);
    const added = eta * next * Math.sqrt((1 - next / sigma) * (1 + next / sigma));
    const kept = Math.sqrt(Math.max(next ** 2 - added ** 2, 0)) / sigma;
    const drawn = added > 0 ? requireNoise(noise, 'ddim')(index) : undefined;
    x = x.map((value, k) => denoised[k] + kept * (value - denoised[k]) + (drawn ? added * drawn[k] : 0));
    onStep?.({ index, done: (index + 1) / steps, sigma: next, x, denoised });
  }
  return x;
}

/** @throws UsageError when noise levels are no two, not finite or do not fall to 0 or more */
export function requireFalling(levels: Float64Array): void {
  const falls = levels.every((level, i) => Number.isFinite(level) && (i === 0 || level <= levels[i - 1]));
  if (levels.length < 2 || !falls || !(levels[levels.length - 1] >= 0) || !(levels[levels.length - 2] > 0))
    throw new UsageError(
      `levels must be at least two noise levels that fall, all but the last above 0, got ${Array.from(levels.slice(0, 8)).join(', ')}${levels.length > 8 ? ', ...' : ''}.`,
    );
}

import { ablationDefaults, ablationSampler } from './ablation.ts';
import type { ChurnOptions } from './ablation.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks } from './hooks.ts';
import type { NoiseLevelOptions } from './noise-levels.ts';

/** EDM's sampler; without churn it is deterministic. The cost is 2 steps - 1 evaluations. */
export interface EdmOptions extends NoiseLevelOptions, Partial<ChurnOptions> {}

/**
 * EDM's sampler: Heun's method of second order on dx/dσ = (x - D(x; σ)) / σ, with time steps in equal distances of σ^(1/ρ),
 * and if asked for with noise that is added before each step. Karras et al. 2022, Algorithm 1 (deterministic) and 2
 * (stochastic): the cell heun, edm, linear, none of the grid of `ablationSampler`.
 *
 * @param denoise  the denoiser; called 2 steps - 1 times
 * @param latents  unit normal starting points [N, ...], flat
 * @returns        samples, as many values, in data units
 */
export const edmSampler = (
  denoise: Denoise,
  latents: Float64Array,
  options: EdmOptions & SamplerHooks,
): Promise<Float64Array> => ablationSampler(denoise, latents, { ...ablationDefaults, ...options });

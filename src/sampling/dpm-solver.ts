import { requireFalling } from './ddim.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks } from './hooks.ts';

export interface DpmSolverOptions {
  /** Falling noise levels [steps + 1], data units; the last is 0 for clean samples. */
  readonly levels: Float64Array;
}

/**
 * DPM-Solver++(2M): a multistep method of second order for the probability-flow ODE in λ = -ln σ, exact in the linear part.
 * Lu et al. 2022 (DPM-Solver++), Algorithm 2. Of the samples before scaling, with h = λ' - λ and r the step before over
 * this one:
 *
 *   x' = (σ' / σ) x + (1 - e^-h) ((1 + 1 / 2r) D - D_before / 2r).
 *
 * The first step, and the last one where it goes to noise 0, are of first order: x' = (σ' / σ) x + (1 - σ' / σ) D, which is
 * DDIM. Not DPM-Solver-2, which predicts the noise, nor the SDE variants.
 *
 * @param denoise  the denoiser; called once a step
 * @param latents  unit normal starting points [N, ...], flat; they are scaled to the first level
 * @returns        samples at the last level, as many values, in data units
 * @throws UsageError for levels that do not fall
 */
export async function dpmSolverSampler(
  denoise: Denoise,
  latents: Float64Array,
  { levels, onStep }: DpmSolverOptions & Pick<SamplerHooks, 'onStep'>,
): Promise<Float64Array> {
  requireFalling(levels);
  const steps = levels.length - 1;
  let x = latents.map((value) => value * levels[0]);
  let before: Float64Array | undefined;
  for (let index = 0; index < steps; index++) {
    const [sigma, next] = [levels[index], levels[index + 1]];
    const denoised = await denoise(x, sigma);
    const ratio = next / sigma;
    const widthBefore = index > 0 ? Math.log(levels[index - 1] / sigma) : 0;
    // Two levels that are one after rounding leave no slope to go on with.
    const isSecondOrder = before !== undefined && next > 0 && widthBefore > 0;
    const weight = isSecondOrder ? Math.log(sigma / next) / (2 * widthBefore) : 0;
    const earlier = before ?? denoised;
    x = x.map((value, k) => ratio * value + (1 - ratio) * ((1 + weight) * denoised[k] - weight * earlier[k]));
    before = denoised;
    onStep?.({ index, done: (index + 1) / steps, sigma: next, x, denoised });
  }
  return x;
}

import { reciprocal, square } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { tensorArithmetic } from './arithmetic.ts';
import { formToDenoiser, outputForms } from './output-form.ts';
import { preconditioning, processScale } from './preconditioning/index.ts';
import type { PreconditioningConfig } from './preconditioning/index.ts';

/** The values of `Weighting`. */
export const weightings = ['network', ...outputForms] as const;

/** Whose squared error the loss is: the network's own output, or one of the output forms. */
export type Weighting = (typeof weightings)[number];

/**
 * Weight λ(σ) of the squared error of the denoiser, [N] like sigma: 1 / cOut². It makes the loss the squared error of the
 * network's own output F, since D = cSkip x + cOut F. Karras et al. 2022, Eq. 8 and Table 1:
 *
 * - edm: (σ² + σData²) / (σ σData)², which gives every noise level the same expected loss at the start;
 * - vp, ve, iddpm: 1 / σ², the squared error of the predicted noise.
 *
 * With an output form as `weighting` it is the squared error in that form, whatever the network gives.
 */
export function lossWeight(config: PreconditioningConfig, sigma: Tensor, weighting: Weighting = 'network'): Tensor {
  const out =
    weighting === 'network'
      ? preconditioning(config, sigma).cOut
      : formToDenoiser(tensorArithmetic(sigma), weighting, sigma, processScale(config, sigma)).out;
  return reciprocal(square(out));
}

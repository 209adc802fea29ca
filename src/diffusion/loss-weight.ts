import { add, div, mul, reciprocal, square } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { PreconditioningConfig } from './preconditioning/index.ts';

/**
 * Weight λ(σ) of the squared error of the denoiser, [N] like sigma. Karras et al. 2022, Table 1.
 *
 * - edm: (σ² + σData²) / (σ σData)², which gives every noise level the same expected loss at the start, Eq. 8;
 * - vp, ve, iddpm: 1 / σ², which makes it the squared error of the predicted noise.
 */
export function lossWeight(config: PreconditioningConfig, sigma: Tensor): Tensor {
  if (config.kind !== 'edm') return reciprocal(square(sigma));
  const { sigmaData } = config;
  return div(add(square(sigma), sigmaData ** 2), square(mul(sigma, sigmaData)));
}

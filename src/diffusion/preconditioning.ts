import { add, div, log, mul, reciprocal, sqrt, square } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/**
 * Which wrapper turns the raw network F into the denoiser D. `sigmaData` is the standard deviation of the data, in data
 * units.
 */
export interface PreconditioningConfig {
  readonly kind: 'edm';
  readonly sigmaData: number;
}

/** The four coefficients, each [N] like sigma. Karras et al. 2022, Eq. 7: D(x; σ) = cSkip x + cOut F(cIn x; cNoise). */
export interface Coefficients {
  readonly cSkip: Tensor;
  readonly cOut: Tensor;
  readonly cIn: Tensor;
  readonly cNoise: Tensor;
}

/** Preconditioning coefficients at noise levels sigma [N] > 0. Karras et al. 2022, Table 1, column "Ours". */
export function preconditioning({ sigmaData }: PreconditioningConfig, sigma: Tensor): Coefficients {
  const variance = add(square(sigma), sigmaData ** 2);
  const inverseDeviation = reciprocal(sqrt(variance));
  return {
    cSkip: div(sigmaData ** 2, variance),
    cOut: mul(mul(sigma, sigmaData), inverseDeviation),
    cIn: inverseDeviation,
    cNoise: mul(log(sigma), 1 / 4),
  };
}

/** λ(σ) = (σ² + σData²) / (σ σData)², which gives every noise level the same expected loss at the start. Karras et al. 2022, Eq. 8. */
export const lossWeight = ({ sigmaData }: PreconditioningConfig, sigma: Tensor): Tensor =>
  div(add(square(sigma), sigmaData ** 2), square(mul(sigma, sigmaData)));

import { add, constant, div, equal, log, mul, neg, reciprocal, sqrt, square, sub, where } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';
import { vpProcess } from '../processes/vp.ts';
import type { VpSchedule } from '../processes/vp.ts';
import type { Preconditioning } from './coefficients.ts';

/** Karras et al. 2022, Table 1, column "VP": the network predicts the noise, and is told the time in steps. */
export interface VpPreconditioningConfig extends VpSchedule {
  readonly kind: 'vp';
  /** Smallest time that the network was trained at. */
  readonly epsilonT: number;
  /** Number M of steps of the discrete formulation: the network is told (M - 1) t. */
  readonly steps: number;
}

export function vpPreconditioning(config: VpPreconditioningConfig): Preconditioning {
  const process = vpProcess(config);
  return {
    coefficients: (sigma) => ({
      ...noisePrediction(sigma),
      cNoise: mul(timeOf(config, sigma), config.steps - 1),
    }),
    range: { min: process.sigma(config.epsilonT), max: process.sigma(1) },
    round: (sigma) => sigma,
  };
}

/** D(x; σ) = x - σ F(x / √(1 + σ²)): for a network that predicts the noise from data of unit variance. */
export const noisePrediction = (sigma: Tensor) => ({
  cSkip: constant(1, sigma.shape, sigma.dtype),
  cOut: neg(sigma),
  cIn: reciprocal(sqrt(add(square(sigma), 1))),
});

/** The graph's form of the inverse of σ(t), which processes/vp.ts has for numbers. */
function timeOf({ betaD, betaMin }: VpSchedule, sigma: Tensor): Tensor {
  const total = logOnePlus(square(sigma));
  return div(mul(total, 2), add(sqrt(add(mul(total, 2 * betaD), betaMin ** 2)), betaMin));
}

/**
 * ln(1 + x) to a few roundings for x ≥ 0 however small: rounding 1 + x to u changes ln(u) / (u - 1) by next to nothing,
 * as it is smooth at 1. Goldberg 1991, Theorem 4.
 */
function logOnePlus(x: Tensor): Tensor {
  const rounded = add(x, 1);
  const isOne = equal(rounded, 1);
  return where(isOne, x, div(mul(x, log(rounded)), where(isOne, 1, sub(rounded, 1))));
}

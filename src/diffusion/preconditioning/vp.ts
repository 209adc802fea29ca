import { constant, mul, neg } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';
import { tensorArithmetic } from '../arithmetic.ts';
import { vpProcess, vpScale, vpTime } from '../processes/vp.ts';
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
      cNoise: mul(vpTime(tensorArithmetic(sigma), config, sigma), config.steps - 1),
    }),
    scale: noisePredictionScale,
    range: { min: process.sigma(config.epsilonT), max: process.sigma(1) },
    round: (sigma) => sigma,
  };
}

/** D(x; σ) = x - σ F(x / √(1 + σ²)): for a network that predicts the noise from data of unit variance. */
export const noisePrediction = (sigma: Tensor) => ({
  cSkip: constant(1, sigma.shape, sigma.dtype),
  cOut: neg(sigma),
  cIn: noisePredictionScale(sigma),
});

/** 1 / √(1 + σ²), with which x₀ + σ z has unit variance where the data have. */
export const noisePredictionScale = (sigma: Tensor): Tensor => vpScale(tensorArithmetic(sigma), sigma);

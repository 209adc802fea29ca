import { add, div, log, mul, reciprocal, sqrt, square } from '../../graph/index.ts';
import { unitScale } from './coefficients.ts';
import type { Preconditioning } from './coefficients.ts';

/** Karras et al. 2022, Table 1, column "Ours". */
export interface EdmPreconditioningConfig {
  readonly kind: 'edm';
  /** Standard deviation of the data, in data units. */
  readonly sigmaData: number;
}

/** Input, output and target of the network have unit variance at every noise level. */
export const edmPreconditioning = ({ sigmaData }: EdmPreconditioningConfig): Preconditioning => ({
  coefficients: (sigma) => {
    const variance = add(square(sigma), sigmaData ** 2);
    const inverseDeviation = reciprocal(sqrt(variance));
    return {
      cSkip: div(sigmaData ** 2, variance),
      cOut: mul(mul(sigma, sigmaData), inverseDeviation),
      cIn: inverseDeviation,
      cNoise: mul(log(sigma), 1 / 4),
    };
  },
  scale: unitScale,
  range: { min: 0, max: Infinity },
  round: (sigma) => sigma,
});

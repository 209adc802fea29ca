import { constant, log, mul } from '../../graph/index.ts';
import type { VeSchedule } from '../processes/ve.ts';
import { unitScale } from './coefficients.ts';
import type { Preconditioning } from './coefficients.ts';

/** Karras et al. 2022, Table 1, column "VE": the network sees the noisy sample as it is and predicts minus the noise. */
export interface VePreconditioningConfig extends VeSchedule {
  readonly kind: 've';
}

export const vePreconditioning = ({ sigmaMin, sigmaMax }: VePreconditioningConfig): Preconditioning => ({
  coefficients: (sigma) => {
    const one = constant(1, sigma.shape, sigma.dtype);
    return { cSkip: one, cOut: sigma, cIn: one, cNoise: log(mul(sigma, 1 / 2)) };
  },
  scale: unitScale,
  range: { min: sigmaMin, max: sigmaMax },
  round: (sigma) => sigma,
});

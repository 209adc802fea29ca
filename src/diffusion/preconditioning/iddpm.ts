import { cast, constant, less, reshape, sub, sum } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';
import { iddpmNoiseLevels, nearestLevel } from '../processes/iddpm.ts';
import type { IddpmSchedule } from '../processes/iddpm.ts';
import type { Preconditioning } from './coefficients.ts';
import { noisePrediction, noisePredictionScale } from './vp.ts';

/**
 * Karras et al. 2022, Table 1, column "iDDPM + DDIM": the network predicts the noise, and is told the step whose noise
 * level is nearest. Networks of the literature have twice as many channels out as in; the second half are for a variance
 * and take no part here.
 */
export interface IddpmPreconditioningConfig extends IddpmSchedule {
  readonly kind: 'iddpm';
}

export function iddpmPreconditioning(config: IddpmPreconditioningConfig): Preconditioning {
  const levels = iddpmNoiseLevels(config);
  const { steps } = config;
  return {
    coefficients: (sigma) => ({ ...noisePrediction(sigma), cNoise: sub(steps - 1, nearestIndex(levels, sigma)) }),
    scale: noisePredictionScale,
    range: { min: levels[steps - 1], max: levels[0] },
    round: (sigma) => levels[nearestLevel(levels, sigma)],
  };
}

/** Index of the nearest of falling levels [M + 1] at each sigma [N], as numbers [N]: of midpoints, how many lie above. */
function nearestIndex(levels: Float64Array, sigma: Tensor): Tensor {
  const midpoints = Array.from(levels.subarray(1), (level, j) => (levels[j] + level) / 2);
  const above = less(reshape(sigma, [sigma.shape[0], 1]), constant(midpoints, [1, midpoints.length], sigma.dtype));
  return sum(cast(above, sigma.dtype), 1);
}

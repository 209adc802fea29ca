import { noiseLevelFrom } from '../../src/diffusion/index.ts';
import type { NoiseLevelConfig } from '../../src/diffusion/index.ts';
import { makeCheck } from './check.ts';
import type { Check } from './check.ts';
import { roundings, roundoff } from './tolerance.ts';
import type { Origin } from './tolerance.ts';

/*
 * Noise levels spread over orders of magnitude, so each is judged by its relative error, and that in units of what the
 * reference's own formula makes of one relative rounding of its intermediate values (its condition number): a few
 * roundings are allowed.
 */

/**
 * Compares values that are above 0 one by one.
 *
 * @param origin     arithmetic of the reference
 * @param condition  factor by which the reference's formula magnifies a rounding, for an expected value and its index
 */
export function relativeCheck(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  origin: Origin,
  condition: (value: number, i: number) => number,
): Check {
  let worst = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] / expected[i] - 1) / condition(expected[i], i);
    if (!(error <= worst)) worst = error;
  }
  return makeCheck(
    `${what} (relative, each, over its condition number)`,
    worst,
    1,
    roundings * (origin === 'float32' ? roundoff : 2 ** -53),
  );
}

/**
 * σ = √(e^B - 1) loses digits where B is small: an absolute error of (1 + B) roundings of e^B = 1 + σ² in σ², half of that
 * relative to σ² in σ.
 */
export const vpCondition = (sigma: number): number =>
  1 + ((1 + sigma ** 2) / (2 * sigma ** 2)) * (1 + Math.log1p(sigma ** 2));

/** The distributions of noise levels that the reference has. */
export type ReferenceNoiseLevels = Exclude<NoiseLevelConfig, { kind: 'process-time' }>;

/** Condition number of the noise level of a draw. */
export function conditionOf(config: ReferenceNoiseLevels, draw: number): number {
  switch (config.kind) {
    case 'log-normal':
      // exp of a sum: the absolute error of the sum, that of its largest part.
      return Math.max(1, Math.abs(config.pMean) + Math.abs(config.pStd * draw));
    case 'vp-time': {
      // t = 1 + u (ε - 1) has the absolute error of a number near 1, which d ln σ / dt = (1 + σ²) / (2 σ²) β(t) magnifies.
      const sigma = noiseLevelFrom(config, draw);
      const beta = config.betaD * (1 + draw * (config.epsilonT - 1)) + config.betaMin;
      return vpCondition(sigma) + ((1 + sigma ** 2) / (2 * sigma ** 2)) * beta;
    }
    case 'log-uniform':
      return 1 + draw * Math.log(config.sigmaMax / config.sigmaMin);
    case 'iddpm-steps':
      return 1;
  }
}

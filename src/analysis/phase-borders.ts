import { fillNoiseLevels } from '../diffusion/index.ts';
import type { NoiseLevelConfig } from '../diffusion/index.ts';
import { streams } from '../numerics/random.ts';

/** Phases from the data outwards. */
export const phases = ['near', 'intermediate', 'far'] as const;
export type Phase = (typeof phases)[number];

/**
 * A posterior is near a point mass, or near the prior, when it differs from it by at most this total variation on the
 * average: an event's probability by no more than a quarter.
 */
export const phaseThreshold = 0.25;

/** What borders are found from: means over noisy samples at a noise level. */
export interface PhaseDistances {
  readonly sigma: number;
  /** Mean total variation between the posterior and the point mass at its most likely source. */
  readonly distanceToPoint: number;
  /** Mean total variation between posterior and prior. */
  readonly distanceToPrior: number;
}

/** Noise levels between which the intermediate phase lies; null for one that is outside the grid. */
export interface PhaseBorders {
  /** Largest noise level up to which the posterior is near a point mass. */
  readonly lower: number | null;
  /** Smallest noise level from which on it is near the prior. */
  readonly upper: number | null;
  readonly threshold: number;
}

/**
 * The borders of the three phases. The lower one is where the mean distance to the point mass first reaches the threshold,
 * the upper one where the mean distance to the prior last does; between levels of the grid both are taken to be linear in
 * ln σ. A data set of a few samples may be near both at once: then the phases overlap and the lower border counts.
 *
 * @param levels  of rising σ
 */
export function phaseBorders(levels: readonly PhaseDistances[], threshold = phaseThreshold): PhaseBorders {
  const crossing = (at: number, value: (level: PhaseDistances) => number): number => {
    const [a, b] = [levels[at - 1], levels[at]];
    const share = (threshold - value(a)) / (value(b) - value(a));
    return Math.exp(Math.log(a.sigma) + share * (Math.log(b.sigma) - Math.log(a.sigma)));
  };
  const first = levels.findIndex((level) => level.distanceToPoint > threshold);
  const last = levels.map((level) => level.distanceToPrior > threshold).lastIndexOf(true);
  const lower = first > 0 ? crossing(first, (level) => level.distanceToPoint) : null;
  const upper = last >= 0 && last < levels.length - 1 ? crossing(last + 1, (level) => level.distanceToPrior) : null;
  return { lower, upper: upper !== null && lower !== null ? Math.max(upper, lower) : upper, threshold };
}

/** The phase of a noise level; beyond the grid it is that of the grid's end. */
export function phaseOf(
  sigma: number,
  { lower, upper, threshold }: PhaseBorders,
  levels: readonly PhaseDistances[],
): Phase {
  const isAllNear = lower === null && !levels.some((level) => level.distanceToPoint > threshold);
  if (isAllNear || (lower !== null && sigma < lower)) return 'near';
  const isAllFar = upper === null && !levels.some((level) => level.distanceToPrior > threshold);
  return isAllFar || (upper !== null && sigma >= upper) ? 'far' : 'intermediate';
}

/** Draws that shares are counted among: off by at most 0.002, one standard error. */
const countedDraws = 2 ** 16;

/** Shares of the noise levels of training that lie in each phase. */
export function phaseShares(
  noiseLevels: NoiseLevelConfig,
  borders: PhaseBorders,
  levels: readonly PhaseDistances[],
): Readonly<Record<Phase, number>> {
  const drawn = new Float64Array(countedDraws);
  fillNoiseLevels(drawn, noiseLevels, { seed: 0, stream: streams.evaluation, step: 0, sample: 0 });
  const shares = { near: 0, intermediate: 0, far: 0 };
  for (const sigma of drawn) shares[phaseOf(sigma, borders, levels)] += 1 / countedDraws;
  return shares;
}

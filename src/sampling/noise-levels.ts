import { iddpmNoiseLevels, vpProcess } from '../diffusion/index.ts';
import type { IddpmSchedule, SigmaRange, VpSchedule } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { roundHalfToEven } from '../numerics/rounding.ts';

/** Which noise levels a sampler visits. */
export interface NoiseLevelOptions {
  /** Noise levels above 0 that are visited. */
  readonly steps: number;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** How much the steps crowd towards low noise; 7 in the paper. */
  readonly rho: number;
}

/**
 * Noise levels from sigmaMax down to sigmaMin and then 0, [steps + 1]:
 * σ_i = (σMax^(1/ρ) + i / (steps - 1) · (σMin^(1/ρ) - σMax^(1/ρ)))^ρ. Karras et al. 2022, Eq. 5.
 *
 * @throws UsageError for fewer than 2 steps or noise levels in the wrong order
 */
export function edmNoiseLevels({ steps, sigmaMin, sigmaMax, rho }: NoiseLevelOptions): Float64Array {
  checkLevels({ steps, sigmaMin, sigmaMax });
  if (!(rho > 0)) throw new UsageError(`rho must be above 0, got ${rho}.`);
  const [high, low] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  return levelsOf(steps, (part) => (high + part * (low - high)) ** rho);
}

/** Ways to place the time steps {t_i}, by the family of samplers that they come from. Karras et al. 2022, Table 1. */
export const discretizations = ['vp', 've', 'iddpm', 'edm'] as const;

export type DiscretizationName = (typeof discretizations)[number];

/** What some discretizations depend on beside the range of noise levels. */
export interface DiscretizationOptions extends NoiseLevelOptions {
  /** εs of VP: the time of the last step, where the first is at time 1. */
  readonly epsilonS: number;
  /** Of iDDPM's table of noise levels: C₁, C₂ and the number M of its steps. */
  readonly c1: number;
  readonly c2: number;
  readonly m: number;
}

/**
 * Noise levels of a discretization, falling, and 0 at the end [steps + 1]. Karras et al. 2022, Table 1:
 *
 * - vp: times in equal steps from 1 to εs, at noise levels of the VP schedule;
 * - ve: variances in equal ratios;
 * - iddpm: some of iDDPM's own levels in the range, in steps as equal as can be;
 * - edm: `edmNoiseLevels`.
 *
 * @throws UsageError for fewer than 2 steps, noise levels in the wrong order, or a range that has none of iDDPM's levels
 */
export function discretizedLevels(discretization: DiscretizationName, options: DiscretizationOptions): Float64Array {
  checkLevels(options);
  const { steps, sigmaMin, sigmaMax, epsilonS, c1, c2, m } = options;
  switch (discretization) {
    case 'vp': {
      const { sigma } = vpProcess(vpBetween(options));
      return levelsOf(steps, (part) => sigma(1 + part * (epsilonS - 1)));
    }
    case 've':
      return levelsOf(steps, (part) => sigmaMax * (sigmaMin / sigmaMax) ** part);
    case 'iddpm':
      return iddpmLevels({ c1, c2, steps: m }, options);
    case 'edm':
      return edmNoiseLevels(options);
  }
}

/** The range of noise levels that a discretization has in the paper. Karras et al. 2022, Table 1 and official code. */
export function defaultSigmaRange(discretization: DiscretizationName, epsilonS: number): SigmaRange {
  switch (discretization) {
    case 'vp': {
      const { sigma } = vpProcess({ betaD: 19.9, betaMin: 0.1 });
      return { min: sigma(epsilonS), max: sigma(1) };
    }
    case 've':
      return { min: 0.02, max: 100 };
    case 'iddpm':
      return { min: 0.002, max: 81 };
    case 'edm':
      return { min: 0.002, max: 80 };
  }
}

/**
 * The VP schedule that has the noise levels sigmaMin and sigmaMax at the times epsilonS and 1: two linear equations for
 * betaD and betaMin. betaMin may fall a little below 0, the noise rate in between may not.
 *
 * @throws UsageError when noise levels so far up would need a noise rate of 0 or less
 */
export function vpBetween({
  sigmaMin,
  sigmaMax,
  epsilonS,
}: Pick<DiscretizationOptions, 'sigmaMin' | 'sigmaMax' | 'epsilonS'>): VpSchedule {
  if (!(epsilonS > 0 && epsilonS < 1)) throw new UsageError(`epsilonS must be between 0 and 1, got ${epsilonS}.`);
  const [atMin, atMax] = [Math.log1p(sigmaMin ** 2), Math.log1p(sigmaMax ** 2)];
  const betaD = (2 * (atMin / epsilonS - atMax)) / (epsilonS - 1);
  const betaMin = atMax - betaD / 2;
  if (betaMin + betaD * epsilonS > 0 && betaMin + betaD > 0) return { betaD, betaMin };
  // Both rates are above 0 if the integral at the start is below that of a rate which falls to 0 at time 1.
  const most = Math.sqrt(Math.expm1(epsilonS * (2 - epsilonS) * atMax));
  throw new UsageError(
    `sigmaMin must be below ${most.toPrecision(3)} for a VP schedule that has sigmaMax = ${sigmaMax} at time 1 and sigmaMin at time ${epsilonS}, got ${sigmaMin}. Choose such a one, or another discretization and schedule than vp.`,
  );
}

/** The noise levels between which a sampler runs, moved into those for which a network is made. */
export const withinRange = (
  { sigmaMin, sigmaMax }: Pick<NoiseLevelOptions, 'sigmaMin' | 'sigmaMax'>,
  { min, max }: SigmaRange,
): Pick<NoiseLevelOptions, 'sigmaMin' | 'sigmaMax'> => ({
  sigmaMin: Math.max(sigmaMin, min),
  sigmaMax: Math.min(sigmaMax, max),
});

/** Noise levels, each but a final 0 moved to one that the denoiser knows. */
export const rounded = (levels: Float64Array, roundSigma = (sigma: number) => sigma): Float64Array =>
  levels.map((sigma) => (sigma > 0 ? roundSigma(sigma) : 0));

/** Levels at `part` = 0 .. 1 of the way in equal steps, and 0. */
function levelsOf(steps: number, level: (part: number) => number): Float64Array {
  const levels = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) levels[i] = level(i / (steps - 1));
  return levels;
}

function iddpmLevels(
  schedule: IddpmSchedule,
  { steps, sigmaMin, sigmaMax }: Pick<NoiseLevelOptions, 'steps' | 'sigmaMin' | 'sigmaMax'>,
): Float64Array {
  const within = iddpmNoiseLevels(schedule).filter((level) => level >= sigmaMin && level <= sigmaMax);
  if (within.length === 0)
    throw new UsageError(`none of the ${schedule.steps} levels of iDDPM is from ${sigmaMin} to ${sigmaMax}.`);
  const levels = new Float64Array(steps + 1);
  const width = (within.length - 1) / (steps - 1);
  for (let i = 0; i < steps; i++) levels[i] = within[roundHalfToEven(width * i)];
  return levels;
}

function checkLevels({ steps, sigmaMin, sigmaMax }: Pick<NoiseLevelOptions, 'steps' | 'sigmaMin' | 'sigmaMax'>): void {
  if (!Number.isInteger(steps) || steps < 2)
    throw new UsageError(`steps must be an integer of at least 2, got ${steps}.`);
  if (!(sigmaMin > 0 && sigmaMin < sigmaMax)) {
    throw new UsageError(
      `sigmaMin must be above 0 and below sigmaMax, got sigmaMin = ${sigmaMin} and sigmaMax = ${sigmaMax}. Are they swapped?`,
    );
  }
}

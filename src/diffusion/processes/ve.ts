import { roundHalfToEven } from '../../numerics/rounding.ts';
import { requireSteps, timestepOf } from './process.ts';
import type { Process, ProcessLevels } from './process.ts';

/** Noise levels between which a variance-exploding process runs, in data units. */
export interface VeSchedule {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/**
 * Variance exploding: σ(t) = σMin (σMax / σMin)^t for t in [0, 1], s(t) = 1, dx = σ √(2 ln(σMax / σMin)) dw. Song et al.
 * 2021, Eq. 9 and 30. A uniform t makes ln σ uniform.
 */
export function veProcess({ sigmaMin, sigmaMax }: VeSchedule): Process {
  const extent = Math.log(sigmaMax / sigmaMin);
  const sigma = (t: number): number => sigmaMin * Math.exp(extent * t);
  return {
    sigma,
    time: (level) => Math.log(level / sigmaMin) / extent,
    scale: () => 1,
    deviation: sigma,
    drift: () => 0,
    diffusion: (t) => sigma(t) * Math.sqrt(2 * extent),
    range: { min: 0, max: 1 },
    end: 1,
    priorDeviation: sigmaMax,
    discretize: (steps) => {
      const levels = veNoiseLevels({ sigmaMin, sigmaMax }, steps);
      const timestep = (t: number): number => timestepOf(t, steps);
      // σ_i² - σ_(i-1)² = σ_i² (1 - ratio^-2), without cancellation; the step to σ_0 starts from no noise.
      const shareAdded = Math.sqrt(-Math.expm1((-2 * extent) / (steps - 1)));
      const addedAt = (i: number): number => levels[i] * (i === 0 ? 1 : shareAdded);
      return {
        steps,
        timestep,
        step: (t) => ({ drift: 0, diffusion: addedAt(timestep(t)) }),
        // The posterior's: σ_(i-1) / σ_i of what the step adds. Song et al. 2021, Eq. 47.
        ancestralDeviation: (t) => {
          const i = timestep(t);
          return i === 0 ? 0 : (levels[i - 1] / levels[i]) * addedAt(i);
        },
      };
    },
  };
}

/**
 * The noise levels of the discrete process, σMin to σMax in equal ratios [steps]. Song et al. 2021, Eq. 8
 * and appendix C.
 *
 * @throws UsageError when `steps` is no integer of at least 2
 */
export function veNoiseLevels({ sigmaMin, sigmaMax }: VeSchedule, steps: number): Float64Array {
  requireSteps(steps, 2);
  const extent = Math.log(sigmaMax / sigmaMin);
  return Float64Array.from({ length: steps }, (_, i) => sigmaMin * Math.exp((extent * i) / (steps - 1)));
}

/**
 * The levels of the variance-exploding process as the networks of score matching with Langevin dynamics know them: level i
 * of `veNoiseLevels`, where steps - 1 - i is (1 - t) (steps - 1) rounded, of two equally near numbers to the even one. They
 * are for the score alone: steps and correctors are those of `veProcess`. Song et al. 2021, appendix C and official code.
 *
 * @throws UsageError when `steps` is no integer of at least 2
 */
export function smldProcess(schedule: VeSchedule, steps: number): ProcessLevels {
  const levels = veNoiseLevels(schedule, steps);
  const sigma = (t: number): number => levels[steps - 1 - roundHalfToEven((1 - t) * (steps - 1))];
  return { sigma, scale: () => 1, deviation: sigma };
}

import { UsageError } from '../../errors.ts';

/**
 * A forward process x(t) = s(t) (x₀ + σ(t) z), z unit normal, and its stochastic differential equation
 * dx = f(t) x dt + g(t) dw. Karras et al. 2022, Sect. 2, Eq. 2 and appendix B; Song et al. 2021, Sect. 3. The two forms say
 * the same: f = s' / s and g² = s² d(σ²) / dt. All arithmetic is float64.
 */
export interface Process {
  /** Noise level σ(t) of the sample before scaling, in data units. */
  readonly sigma: (t: number) => number;
  /** The t at which the noise level is sigma: the inverse of σ(t). */
  readonly time: (sigma: number) => number;
  /** Factor s(t) on the sample: the mean of x(t) given x₀ is s(t) x₀. */
  readonly scale: (t: number) => number;
  /** Standard deviation s(t) σ(t) of x(t) given x₀. */
  readonly deviation: (t: number) => number;
  /** f(t): the drift is f(t) x. */
  readonly drift: (t: number) => number;
  /** g(t), the factor on the Wiener process. */
  readonly diffusion: (t: number) => number;
  /** Times at which networks are trained. */
  readonly range: TimeRange;
  /** T, the time of the prior. */
  readonly end: number;
  /** Standard deviation of the prior N(0, deviation² I), from which x(T) is drawn. */
  readonly priorDeviation: number;
  /**
   * The process in steps of T / steps, as its literature takes them.
   *
   * @throws UsageError when there are too few steps
   */
  readonly discretize: (steps: number) => Discretization;
}

/** At which levels a network is asked at time t. Networks that were trained on discrete steps know only theirs. */
export type ProcessLevels = Pick<Process, 'sigma' | 'scale' | 'deviation'>;

export interface TimeRange {
  readonly min: number;
  readonly max: number;
}

/** Coefficients of a linear equation: dx = drift x dt + diffusion dw, or of one step x + drift x + diffusion z. */
export interface LinearSde {
  readonly drift: number;
  readonly diffusion: number;
}

/** A process in discrete steps. */
export interface Discretization {
  readonly steps: number;
  /** Index 0 .. steps - 1 of the step at time t: ⌊t (steps - 1) / T⌋. */
  readonly timestep: (t: number) => number;
  /**
   * The step at time t: x_(i+1) = x_i + drift x_i + diffusion z, z unit normal.
   *
   * @throws UsageError where the equation is singular: at t = 1 of the linear path
   */
  readonly step: (t: number) => LinearSde;
  /**
   * Standard deviation of the noise with which ancestral sampling undoes the step at time t; left out where the literature
   * has no such sampler.
   */
  readonly ancestralDeviation?: (t: number) => number;
}

/** Steps that a discrete schedule may have, beyond every published one: tables of them are part of the network. */
export const mostNoiseSteps = 100_000;

/** The index of the step at time t, of steps up to the time `end`: ⌊t (steps - 1) / end⌋. */
export const timestepOf = (t: number, steps: number, end = 1): number => Math.floor((t * (steps - 1)) / end);

/**
 * The steps of Euler and Maruyama: f(t) T / steps and g(t) √(T / steps). Kloeden and Platen 1992, Sect. 10.2.
 *
 * @throws UsageError when `steps` is no integer of at least 1
 */
export function eulerMaruyama(process: Pick<Process, 'drift' | 'diffusion' | 'end'>, steps: number): Discretization {
  requireSteps(steps, 1);
  const width = process.end / steps;
  return {
    steps,
    timestep: (t) => timestepOf(t, steps, process.end),
    step: (t) => {
      const step = { drift: process.drift(t) * width, diffusion: process.diffusion(t) * Math.sqrt(width) };
      if (Number.isFinite(step.drift) && Number.isFinite(step.diffusion)) return step;
      throw new UsageError(
        `step: the equation of the process is singular at time ${t}. Stay within its range of times.`,
      );
    },
  };
}

/** @throws UsageError when `steps` is no integer of at least `least` */
export function requireSteps(steps: number, least: number, why = ''): void {
  if (!Number.isInteger(steps) || steps < least)
    throw new UsageError(`discretize: steps must be an integer of at least ${least}${why}, got ${steps}.`);
}

/**
 * Logarithm of the prior's density at one sample. Song et al. 2021, appendix D.2.
 *
 * @param x  one sample, flat
 */
export function priorLogDensity({ priorDeviation }: Pick<Process, 'priorDeviation'>, x: ArrayLike<number>): number {
  const variance = priorDeviation ** 2;
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i] ** 2;
  return (-x.length / 2) * Math.log(2 * Math.PI * variance) - squares / (2 * variance);
}

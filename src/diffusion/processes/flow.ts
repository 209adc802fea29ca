import { eulerMaruyama } from './process.ts';
import type { Process } from './process.ts';

/** How far from both ends of [0, 1], data and noise, networks of the linear path are trained. */
export interface FlowSchedule {
  readonly epsilonT: number;
}

/**
 * The straight path from data to noise, x(t) = (1 - t) x₀ + t z: s = 1 - t, σ = t / (1 - t). Lipman et al. 2023; Liu et al.
 * 2023; both with time the other way round. Its equation dx = -x / (1 - t) dt + √(2 t / (1 - t)) dw is singular at t = 1, where
 * nothing of the data is left; the probability flow is not.
 */
export function flowProcess({ epsilonT }: FlowSchedule): Process {
  const equation = {
    drift: (t: number) => -1 / (1 - t),
    diffusion: (t: number) => Math.sqrt((2 * t) / (1 - t)),
    end: 1,
  };
  return {
    ...equation,
    sigma: (t) => t / (1 - t),
    time: (sigma) => (sigma === Infinity ? 1 : sigma / (1 + sigma)),
    scale: (t) => 1 - t,
    deviation: (t) => t,
    range: { min: epsilonT, max: 1 - epsilonT },
    priorDeviation: 1,
    discretize: (steps) => eulerMaruyama(equation, steps),
  };
}

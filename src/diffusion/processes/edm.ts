import { eulerMaruyama } from './process.ts';
import type { Process } from './process.ts';
import type { VeSchedule } from './ve.ts';

/**
 * Time is the noise level: σ(t) = t, s(t) = 1, dx = √(2 t) dw. Karras et al. 2022, Table 1, column "Ours".
 *
 * @param schedule  noise levels between which the process runs; 0.002 and 80 in the paper
 */
export function edmProcess({ sigmaMin, sigmaMax }: VeSchedule): Process {
  const equation = { drift: () => 0, diffusion: (t: number) => Math.sqrt(2 * t), end: sigmaMax };
  return {
    ...equation,
    sigma: (t) => t,
    time: (sigma) => sigma,
    scale: () => 1,
    deviation: (t) => t,
    range: { min: sigmaMin, max: sigmaMax },
    priorDeviation: sigmaMax,
    discretize: (steps) => eulerMaruyama(equation, steps),
  };
}

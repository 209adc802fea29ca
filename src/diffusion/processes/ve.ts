import type { Process } from './process.ts';

/** Noise levels between which a variance-exploding process runs, in data units. */
export interface VeSchedule {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/**
 * Variance exploding: σ(t) = σMin (σMax / σMin)^t for t in [0, 1], s(t) = 1. Song et al. 2021, appendix C. A uniform t
 * makes ln σ uniform.
 */
export function veProcess({ sigmaMin, sigmaMax }: VeSchedule): Process {
  const extent = Math.log(sigmaMax / sigmaMin);
  return {
    sigma: (t) => sigmaMin * Math.exp(extent * t),
    time: (sigma) => Math.log(sigma / sigmaMin) / extent,
    scale: () => 1,
  };
}

import { sigmaRange } from '../diffusion/index.ts';
import type { NoiseLevelConfig, PreconditioningConfig } from '../diffusion/index.ts';

/**
 * The largest noise level that can be trained, in data units. Float32 keeps seven digits: of x₀ + σ z at σ = 10⁶ only
 * the first digit of x₀ is left. The published formulations end far below: iDDPM's at 2e4, VP's at 152, VE's at 100.
 */
export const largestSigma = 1e6;

/** Draws further than this from the mean of log-normal levels come once in three million samples. */
const rareDeviations = 5;

/** The largest noise level that training draws, data units; of log-normal levels one in three million is larger. */
export function largestTrainedSigma({
  denoiser: { preconditioning },
  noiseLevels,
}: {
  readonly denoiser: { readonly preconditioning: PreconditioningConfig };
  readonly noiseLevels: NoiseLevelConfig;
}): number {
  const drawn = noiseLevels.kind === 'log-normal' ? Math.exp(noiseLevels.pMean + rareDeviations * noiseLevels.pStd) : 0;
  // EDM's networks know every noise level.
  return Math.max(drawn, preconditioning.kind === 'edm' ? 0 : sigmaRange(preconditioning).max);
}

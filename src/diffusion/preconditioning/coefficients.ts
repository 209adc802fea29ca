import { constant } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';

/** The four coefficients, each [N] like sigma. Karras et al. 2022, Eq. 7: D(x; σ) = cSkip x + cOut F(cIn x; cNoise). */
export interface Coefficients {
  readonly cSkip: Tensor;
  readonly cOut: Tensor;
  readonly cIn: Tensor;
  readonly cNoise: Tensor;
}

/** A range of noise levels, data units. */
export interface SigmaRange {
  readonly min: number;
  readonly max: number;
}

/** What one way of wrapping a network consists of. */
export interface Preconditioning {
  /** Coefficients at noise levels sigma [N], above 0. */
  readonly coefficients: (sigma: Tensor) => Coefficients;
  /** Factor s of the forward process on x₀ + σ z at noise levels sigma [N]: its score is of the scaled sample. */
  readonly scale: (sigma: Tensor) => Tensor;
  /** Noise levels for which the network is made. */
  readonly range: SigmaRange;
  /** The noise level that the network knows and that is nearest to sigma. */
  readonly round: (sigma: number) => number;
}

/** The scale of processes that leave the sample as it is. */
export const unitScale = (sigma: Tensor): Tensor => constant(1, sigma.shape, sigma.dtype);

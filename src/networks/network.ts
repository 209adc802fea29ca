import { checkpoint } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/** What a network may be told beside the noise level. */
export interface Conditions {
  /** Class labels, one-hot or a mixture [N, labelDim]; left out: no class. */
  readonly classLabels?: Tensor | undefined;
  /** Parameters of the augmentation that made the image [N, augmentDim]; left out: none. */
  readonly augmentLabels?: Tensor | undefined;
  /** Applies dropout in training; left out: none. Called once for each place that drops, in a fixed order. */
  readonly dropout?: Dropout | undefined;
  /** Computes the inside of each block again in the backward pass instead of keeping it; left out: keeps it. */
  readonly checkpointing?: boolean | undefined;
}

/** Applies a block of a network, with or without keeping what lies within it for the backward pass. */
export const applyBlock = ({ checkpointing }: Conditions, x: Tensor, block: (x: Tensor) => Tensor): Tensor =>
  checkpointing ? checkpoint(x, block) : block(x);

/** Zeroes elements of x [N, ...] at random and scales the others so that the mean stays. */
export type Dropout = (x: Tensor) => Tensor;

/**
 * The raw network F(x, c): what a preconditioner wraps. Karras et al. 2022, Eq. 7.
 *
 * @param x           preconditioned input [N, ...]
 * @param noiseLabel  cNoise [N]
 * @returns           [N, ...]
 */
export type Network = (x: Tensor, noiseLabel: Tensor, conditions?: Conditions) => Tensor;

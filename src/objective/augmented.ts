import { constant, gather, reshape, transpose, where } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/*
 * Targets of augmented samples, when the network is told what was done. The posterior runs over references with the
 * sample's own augmentation, T(y_k, a). Flips and quarter turns are permutations of pixels: they leave distances as they
 * are, |x - P y| = |Pᵀ x - y|, so the sample is turned upright, compared with references as the data hold them, and the
 * mean of those is turned back. Of other augmentations each sample has its own, and no reference.
 */

/** How samples were augmented, each a bool [B]. */
export interface AugmentedSamples {
  /** Turned over from left to right, and from top to bottom. */
  readonly flipX: Tensor;
  readonly flipY: Tensor;
  /** Rows made columns, after the flips; left out: none. */
  readonly transpose?: Tensor | undefined;
  /** Samples that were augmented in another way as well. Their target is the clean sample. */
  readonly isAlone: Tensor;
}

type Turns = Omit<AugmentedSamples, 'isAlone'>;

/** Images [B, C, H, W] as they were before they were laid down. */
export const turnUpright = (x: Tensor, { flipX, flipY, transpose }: Turns): Tensor =>
  flipped(flipped(transpose ? transposed(x, transpose) : x, flipX, 3), flipY, 2);

/** Images [B, C, H, W] laid down as the samples are: the reverse of `turnUpright`. */
export const turnBack = (x: Tensor, { flipX, flipY, transpose }: Turns): Tensor => {
  const turned = flipped(flipped(x, flipX, 3), flipY, 2);
  return transpose ? transposed(turned, transpose) : turned;
};

function flipped(x: Tensor, condition: Tensor, axis: number): Tensor {
  const extent = x.shape[axis];
  const reversed = BigInt64Array.from({ length: extent }, (_, i) => BigInt(extent - 1 - i));
  return where(ofSamples(condition, x), gather(x, constant(reversed, [extent], 'int64'), axis), x);
}

const transposed = (x: Tensor, condition: Tensor): Tensor =>
  where(ofSamples(condition, x), transpose(x, [0, 1, 3, 2]), x);

/** A value a sample [B], to go with samples [B, ...]. */
export const ofSamples = (values: Tensor, x: Tensor): Tensor =>
  reshape(values, [x.shape[0], ...x.shape.slice(1).map(() => 1)]);

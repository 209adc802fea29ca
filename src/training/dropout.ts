import { UsageError } from '../errors.ts';
import { cast, input, mul, reshape, sizeOf, slice } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Dropout } from '../networks/index.ts';

/** Dropout whose random decisions come in as data: one byte for each element that may be dropped. */
export interface DropoutPlan {
  /** Decisions a sample needs. */
  readonly perSample: number;
  /** Graph input `dropout.keep`, uint8 [batch, perSample], 1 keeps; absent when nothing is dropped. */
  readonly keep: Tensor | undefined;
  /** A fresh pass over the decisions. */
  readonly apply: Dropout | undefined;
}

/**
 * Plans dropout for a network: counts the elements that drop by building it once, then makes the input that holds all
 * decisions. Kept elements are scaled by 1 / (1 - probability). Srivastava et al. 2014.
 *
 * @param build  builds the network with the given dropout, on samples of one batch
 */
export function planDropout(batch: number, probability: number, build: (dropout: Dropout) => unknown): DropoutPlan {
  if (!(probability >= 0 && probability < 1))
    throw new UsageError(`dropout must be at least 0 and below 1, got ${probability}.`);
  if (probability === 0) return { perSample: 0, keep: undefined, apply: undefined };
  let perSample = 0;
  build((x) => {
    perSample += sizeOf(x.shape.slice(1));
    return x;
  });
  const keep = input('dropout.keep', [batch, perSample], 'uint8');
  let used = 0;
  const apply: Dropout = (x) => {
    const size = sizeOf(x.shape.slice(1));
    const mask = reshape(slice(keep, 1, used, used + size), x.shape);
    used += size;
    return mul(x, mul(cast(mask, x.dtype), 1 / (1 - probability)));
  };
  return { perSample, keep, apply };
}

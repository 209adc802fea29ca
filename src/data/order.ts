import { UsageError } from '../errors.ts';
import { permutation, streams } from '../numerics/random.ts';
import type { Stream } from '../numerics/random.ts';

/** An endless shuffled order of the samples of a data set. */
export interface DataOrder {
  /** Sample at a position 0, 1, 2, ... of the order. Throws UsageError for a position that is no such integer. */
  indexAt(position: number): number;
  /** The samples at `count` positions from `start` on, [count]. */
  window(start: number, count: number): Uint32Array;
}

/** Where the permutation of an epoch is drawn from. */
export interface OrderAddress {
  readonly stream: Stream;
  readonly step: (epoch: number) => number;
}

/**
 * An endless order in which every epoch of `length` positions holds every sample once. Epoch e is the permutation
 * addressed by (seed, `streams.dataOrder`, e), so a position gives the same sample in whatever order positions are
 * asked for: batch size, number of ranks and interruptions do not change the order. The permutations of the last two
 * epochs used are kept, 8 bytes a sample.
 *
 * @param length  samples in the data set, 1 to 2^32 - 1
 * @param seed    the user's seed
 * @param address another address for the permutations than that of the training data
 * @throws UsageError for an argument outside its range
 */
export function createDataOrder(
  length: number,
  seed: number,
  address: OrderAddress = { stream: streams.dataOrder, step: (epoch) => epoch },
): DataOrder {
  if (!Number.isInteger(length) || length < 1 || length >= 2 ** 32)
    throw new UsageError(`createDataOrder: length must be an integer from 1 to ${2 ** 32 - 1}, got ${length}`);
  // Newest first. Two, because a batch or a window may reach over the end of an epoch.
  let kept: { epoch: number; order: Uint32Array }[] = [];
  const epochOrder = (epoch: number): Uint32Array => {
    const found = kept.find((entry) => entry.epoch === epoch);
    if (found) return found.order;
    const order = permutation(length, seed, address.stream, address.step(epoch));
    kept = [{ epoch, order }, ...kept.slice(0, 1)];
    return order;
  };
  const indexAt = (position: number): number => {
    if (!Number.isSafeInteger(position) || position < 0)
      throw new UsageError(`data order: position must be an integer of at least 0, got ${position}`);
    return epochOrder(Math.floor(position / length))[position % length];
  };
  return {
    indexAt,
    window: (start, count) => Uint32Array.from({ length: count }, (_, i) => indexAt(start + i)),
  };
}

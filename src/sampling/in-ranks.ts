import type { Communicator } from '../runtime/index.ts';

/** Items that were worked on together, and what came of them. */
export interface Group<T> {
  readonly items: readonly T[];
  /** [items.length, values] */
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * Works through a list, such as seeds, in ranks: each takes a part of a group, and every rank is given the results of the
 * whole group, in the order of the list. Which items are worked on together follows from `batch` alone, so that with more
 * ranks the same batches go to other ranks.
 *
 * @param items           the same list in every rank
 * @param options.batch   items that a rank takes at a time
 * @param options.size    values of each result: of a sample, or of its features
 * @param options.work    makes the results of up to `batch` items, which begin at place `first` of the list
 */
export async function* inRanks<T>(
  ranks: Communicator,
  items: readonly T[],
  {
    batch,
    size,
    work,
  }: {
    readonly batch: number;
    readonly size: number;
    readonly work: (items: readonly T[], first: number) => Promise<Float32Array>;
  },
): AsyncGenerator<Group<T>> {
  const stride = batch * ranks.size;
  for (let first = 0; first < items.length; first += stride) {
    const start = first + ranks.rank * batch;
    const own = items.slice(start, start + batch);
    // Those at the end of the list may be short of items, and their places stay empty: nothing is behind them.
    const made = new Float32Array(batch * size);
    if (own.length > 0) made.set(await work(own, start));
    const group = items.slice(first, first + stride);
    yield { items: group, values: (await ranks.gather(made)).slice(0, group.length * size) };
  }
}

/** The list of rank 0, in every rank: integers from 0 to 2^32 - 1. */
export async function listOfFirst(ranks: Communicator, list: readonly number[]): Promise<number[]> {
  const length = new Uint32Array([list.length]);
  await ranks.broadcast(new Uint8Array(length.buffer), 0);
  const shared = new Uint32Array(length[0]);
  if (ranks.rank === 0) shared.set(list);
  await ranks.broadcast(new Uint8Array(shared.buffer), 0);
  return [...shared];
}

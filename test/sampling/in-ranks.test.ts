import { expect, test } from 'vitest';
import { inRanks, listOfFirst } from '../../src/sampling/index.ts';
import { alone } from '../../src/runtime/index.ts';
import type { Communicator } from '../../src/runtime/index.ts';
import { ranksInProcess } from '../support/ranks.ts';

/** Works through a list: of each seed two values, 10 seed and 10 seed + 1. What each call was asked, and the groups. */
async function workThrough(ranks: Communicator, seeds: readonly number[]) {
  const calls: string[] = [];
  const groups: { items: readonly number[]; values: number[] }[] = [];
  const work = (items: readonly number[], first: number): Promise<Float32Array> => {
    calls.push(`${first}: ${items.join(' ')}`);
    return Promise.resolve(Float32Array.from(items.flatMap((seed) => [10 * seed, 10 * seed + 1])));
  };
  for await (const { items, values } of inRanks(ranks, seeds, { batch: 2, size: 2, work }))
    groups.push({ items, values: [...values] });
  return { calls, groups };
}

test('a list is worked through in batches, whoever takes them, and all have all results in its order', async () => {
  const seeds = [5, 3, 8, 1, 9, 2, 7, 4, 6];
  const one = await workThrough(alone, seeds);
  expect(one.calls).toEqual(['0: 5 3', '2: 8 1', '4: 9 2', '6: 7 4', '8: 6']);
  const several = await Promise.all(ranksInProcess(3).map((ranks) => workThrough(ranks, seeds)));
  // The same batches; of the last group only the first two ranks have something to do.
  expect(several.map(({ calls }) => calls)).toEqual([['0: 5 3', '6: 7 4'], ['2: 8 1', '8: 6'], ['4: 9 2']]);
  for (const { groups } of several) {
    expect(groups.map(({ items }) => items)).toEqual([
      [5, 3, 8, 1, 9, 2],
      [7, 4, 6],
    ]);
    expect(groups.flatMap(({ values }) => values)).toEqual(one.groups.flatMap(({ values }) => values));
  }
});

test('a list that rank 0 knows reaches all', async () => {
  const lists = await Promise.all(
    ranksInProcess(3).map((ranks) => listOfFirst(ranks, ranks.rank === 0 ? [7, 0, 2 ** 32 - 1] : [1])),
  );
  expect(lists).toEqual(Array.from({ length: 3 }, () => [7, 0, 2 ** 32 - 1]));
  expect(await listOfFirst(alone, [])).toEqual([]);
});

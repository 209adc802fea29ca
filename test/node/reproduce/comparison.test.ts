import { describe, expect, test } from 'vitest';
import { curveTable, estimateOf, inWords, ratioOf, speedUp } from '../../../src/node/reproduce/comparison.ts';
import type { FinishedRun } from '../../../src/node/reproduce/training-curves.ts';

/** A run whose excess loss is `quality(kimg)`. */
const runOf = (kimg: readonly number[], quality: (kimg: number) => number): FinishedRun =>
  ({
    points: kimg.map((at) => ({
      kimg: at,
      excessLoss: quality(at),
      excessLossIn: { low: quality(at), mid: NaN, high: 0 },
      slicedWasserstein: 2 * quality(at),
      noisyShare: 0,
    })),
  }) as unknown as FinishedRun;

const grid = [10, 20, 40, 80];

describe('speed-up', () => {
  test('power laws of one exponent: the ratio of their scales', () => {
    // loss = (kimg / c)^-0.5 is a straight line in both logarithms, so interpolation is exact: 3.6 times at c = 3.6.
    const slow = runOf(grid, (kimg) => kimg ** -0.5);
    const fast = runOf(grid, (kimg) => (3.6 * kimg) ** -0.5);
    expect(speedUp(slow, fast, 'excessLoss')).toBeCloseTo(3.6, 10);
    expect(speedUp(slow, fast, 'slicedWasserstein')).toBeCloseTo(3.6, 10);
    expect(speedUp(fast, slow, 'excessLoss')).toBeCloseTo(1 / 3.6, 10);
    expect(speedUp(slow, slow, 'excessLoss')).toBeCloseTo(1, 10);
  });

  test('a run that is better from its first measurement on counts as reaching it there, and no earlier', () => {
    const slow = runOf(grid, () => 1);
    expect(
      speedUp(
        slow,
        runOf(grid, () => 0.5),
        'excessLoss',
      ),
    ).toBe(8);
  });
});

test('an interval is the one of Student', () => {
  // Of 1, 2, 3: mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.3027.
  const { mean, error, low, high } = estimateOf([1, 2, 3]);
  expect(mean).toBe(2);
  expect(error).toBeCloseTo(1 / Math.sqrt(3), 12);
  expect(high - mean).toBeCloseTo(4.303 / Math.sqrt(3), 12);
  expect(mean - low).toBeCloseTo(4.303 / Math.sqrt(3), 12);
  expect(inWords(estimateOf([5]))).toBe('5 (one seed: no interval)');
});

test('ratios are averaged in the logarithm: twice and half come to 1', () => {
  const { mean, low, high } = ratioOf([2, 0.5, 1]);
  expect(mean).toBeCloseTo(1, 12);
  expect(low * high).toBeCloseTo(1, 12);
});

test('a table of curves has means and standard errors over the seeds of each group', () => {
  const runs = [runOf(grid, (kimg) => kimg), runOf(grid, (kimg) => kimg + 2)];
  const { rows } = curveTable([{ name: 'DSM', runs }]);
  expect(rows.map(({ kimg }) => kimg)).toEqual(grid);
  expect(rows.map(({ excessLoss }) => excessLoss)).toEqual(grid.map((kimg) => kimg + 1));
  for (const row of rows) expect(row.excessLossError).toBeCloseTo(1, 12); // of k and k + 2: sqrt(2) / sqrt(2)
  expect(rows[0]).toMatchObject({ objective: 'DSM', excessLossMid: NaN, slicedWasserstein: 22 });
});

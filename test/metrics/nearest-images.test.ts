import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { nearestImages, psnr } from '../../src/metrics/index.ts';
import { testValues } from '../support/random.ts';

/** A data set of given samples that remembers which were read. */
function datasetOf(samples: readonly (readonly number[])[]): Dataset & { readonly reads: number[] } {
  const reads: number[] = [];
  return {
    name: 'given',
    length: samples.length,
    sampleShape: [samples[0]?.length ?? 3],
    dtype: 'float32',
    classes: 0,
    reads,
    read: (index, out, offset) => {
      reads.push(index);
      out.set(samples[index], offset);
    },
    label: () => -1,
  };
}

/** Samples of 4 whole numbers below `high`: with a small one many are equal, or equally far from a query. */
const gridSamples = (count: number, high: number, seed: number): number[][] =>
  Array.from({ length: count }, (_, i) => [...testValues(4, [0, high], seed + i)].map(Math.floor));

describe('nearestImages', () => {
  // 1024 samples of the data set are looked at together.
  test.each([
    [1, 3],
    [2, 3],
    [50, 3],
    [1024, 3],
    [1025, 3],
    [2100, 3],
    [2100, 50],
  ])('is the first of the nearest of %d, and the second nearest; values below %d', async (count, high) => {
    const samples = gridSamples(count, high, 1000);
    const queries = gridSamples(20, high, 90_000);
    const dataset = datasetOf(samples);
    const told: [number, number][] = [];
    const result = await nearestImages(Float32Array.from(queries.flat()), dataset, {
      progress: (done, total) => told.push([done, total]),
    });
    queries.forEach((query, q) => {
      const order = samples
        .map((sample, index) => ({ index, square: sample.reduce((s, each, i) => s + (each - query[i]) ** 2, 0) }))
        .sort((a, b) => a.square - b.square || a.index - b.index);
      expect(result.index[q]).toBe(order[0].index);
      // Squares are small whole numbers: exact.
      expect(result.distance[q]).toBe(Math.sqrt(order[0].square));
      expect(result.secondDistance[q]).toBe(count === 1 ? Infinity : Math.sqrt(order[1].square));
      expect(result.psnr[q]).toBe(psnr(Float32Array.from(query), Float32Array.from(samples[order[0].index])));
    });
    const blocks: [number, number][] = [];
    const inBlocks = {
      ...{ name: 'blocks', length: count, sampleShape: [4] },
      block: (from: number, to: number) => {
        blocks.push([from, to]);
        return Promise.resolve(Float32Array.from(samples.slice(from, to).flat()));
      },
    };
    expect(await nearestImages(Float32Array.from(queries.flat()), inBlocks)).toEqual(result);
    expect(Math.max(...blocks.map(([from, to]) => to - from))).toBeLessThanOrEqual(1024);
    expect(dataset.reads).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(told.at(-1)).toEqual([count, count]);
    expect(told).toHaveLength(Math.ceil(count / 1024));
  });

  test('a copy is at distance 0 and an infinite ratio, also between images that are nearly the same', async () => {
    const base = testValues(48, [-1, 1]);
    // Squares of 16 round to 1e-15, and the difference of neighbours is 1e-16.
    const samples = Array.from({ length: 30 }, (_, i) => [
      ...Float32Array.from(base.map((each, k) => (k === i ? each + 1e-7 : each))),
    ]);
    const dataset = datasetOf(samples);
    const result = await nearestImages(Float32Array.from(samples[17]), dataset);
    const first = samples.findIndex((sample) => sample.every((each, k) => each === samples[17][k]));
    expect([result.index[0], result.distance[0], result.psnr[0]]).toEqual([first, 0, Infinity]);
  });

  test('no samples, and what has no answer', async () => {
    const dataset = datasetOf([[0, 0, 0]]);
    expect((await nearestImages(new Float32Array(0), dataset)).index).toHaveLength(0);
    await expect(nearestImages(new Float32Array(4), dataset)).rejects.toThrow(ShapeError);
    await expect(nearestImages(new Float32Array(3), datasetOf([]))).rejects.toThrow(UsageError);
    await expect(nearestImages(Float32Array.of(0, 0, NaN), dataset)).rejects.toThrow(NonFiniteError);
  });
});

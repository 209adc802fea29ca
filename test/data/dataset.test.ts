import { describe, expect, test } from 'vitest';
import { imageToFloat } from '../../src/data/pixels.ts';
import { memoryDataset, pointDataset, sampleSize, subset } from '../../src/data/dataset.ts';
import { ShapeError, UsageError } from '../../src/errors.ts';

const images = memoryDataset({
  name: 'four',
  data: Uint8Array.from({ length: 24 }, (_, i) => 10 * i),
  sampleShape: [3, 1, 2],
  labelled: { labels: [2, 0, 1, 2], classes: 3 },
});

describe('a data set in memory', () => {
  test('describes itself', () => {
    expect(images).toMatchObject({ name: 'four', length: 4, sampleShape: [3, 1, 2], dtype: 'uint8', classes: 3 });
    expect(sampleSize(images)).toBe(6);
    expect([0, 1, 2, 3].map((i) => images.label(i))).toEqual([2, 0, 1, 2]);
  });

  test('copies pixels as pixels, or as values into a Float32Array', () => {
    const pixels = new Uint8Array(8);
    images.read(1, pixels, 2);
    expect([...pixels]).toEqual([0, 0, 60, 70, 80, 90, 100, 110]);
    const values = new Float32Array(7);
    images.read(1, values, 1);
    expect(values).toEqual(Float32Array.of(0, ...imageToFloat(pixels.subarray(2))));
  });

  test('points keep their values and have no labels', () => {
    const points = pointDataset({ name: 'points', points: Float32Array.of(0.1, 7, -3, 4), dimension: 2 });
    const out = new Float32Array(2);
    points.read(1, out, 0);
    expect([...out]).toEqual([-3, 4]);
    expect(points).toMatchObject({ length: 2, sampleShape: [2], dtype: 'float32', classes: 0 });
    expect(points.label(0)).toBe(-1);
    expect(() => points.read(0, new Uint8Array(2), 0)).toThrow('"points" holds float32 values');
  });

  test('what does not fit is refused', () => {
    const data = new Uint8Array(6);
    expect(() => memoryDataset({ name: 'a', data, sampleShape: [4] })).toThrow('6 values are not a whole number');
    const labelled = (labels: number[]) => () =>
      memoryDataset({ name: 'a', data, sampleShape: [3], labelled: { labels, classes: 2 } });
    expect(labelled([0])).toThrow(ShapeError);
    expect(labelled([0, 2])).toThrow('label 2 of sample 1 must be from 0 to 1');
    for (const index of [-1, 4, 0.5, Number.NaN]) {
      expect(() => images.read(index, new Uint8Array(6), 0)).toThrow(UsageError);
      expect(() => images.label(index)).toThrow(`sample ${index} does not exist; it has 4`);
    }
    expect(() => images.read(0, new Uint8Array(6), 1)).toThrow('6 values from 1 on do not fit in an array of 6');
  });
});

test('a subset has the chosen samples in the given order', () => {
  const chosen = subset(images, [3, 1, 3]);
  expect(chosen).toMatchObject({ name: 'four-3', length: 3, sampleShape: [3, 1, 2], dtype: 'uint8', classes: 3 });
  const out = new Uint8Array(6);
  chosen.read(2, out, 0);
  expect(out[0]).toBe(180);
  expect([0, 1, 2].map((i) => chosen.label(i))).toEqual([2, 0, 2]);
  expect(() => chosen.label(3)).toThrow('data set "four-3": sample 3 does not exist');
  expect(() => subset(images, [4])).toThrow(UsageError);
  expect(() => subset(images, [-1])).toThrow(UsageError);
});

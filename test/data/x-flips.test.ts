import { expect, test } from 'vitest';
import { memoryDataset, pointDataset } from '../../src/data/dataset.ts';
import { withXFlips } from '../../src/data/x-flips.ts';

const images = memoryDataset({
  name: 'two',
  data: Uint8Array.from([1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26, 31, 32, 33, 34, 35, 36]),
  sampleShape: [2, 2, 3],
  labelled: { labels: [1, 0], classes: 2 },
});

test('a data set with x-flips is the set and, after it, its mirror images with the same classes', () => {
  const doubled = withXFlips(images);
  expect(doubled).toMatchObject({ name: 'two-xflip', length: 4, sampleShape: [2, 2, 3], dtype: 'uint8', classes: 2 });
  const read = (index: number): number[] => {
    const out = new Uint8Array(14);
    doubled.read(index, out, 1);
    return [...out];
  };
  expect(read(1)).toEqual([0, 21, 22, 23, 24, 25, 26, 31, 32, 33, 34, 35, 36, 0]);
  expect(read(2)).toEqual([0, 3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14, 0]);
  expect(read(3)).toEqual([0, 23, 22, 21, 26, 25, 24, 33, 32, 31, 36, 35, 34, 0]);
  expect([0, 1, 2, 3].map((index) => doubled.label(index))).toEqual([1, 0, 1, 0]);
});

test('values are flipped as pixels are, and what is no image or no sample is refused', () => {
  const doubled = withXFlips(images);
  const values = new Float32Array(12);
  doubled.read(2, values, 0);
  expect(values[0]).toBe(Math.fround(3 / 127.5 - 1));
  expect(() => doubled.read(4, values, 0)).toThrow('"two-xflip": sample 4 does not exist; it has 4, counted from 0');
  expect(() => doubled.label(-1)).toThrow('sample -1 does not exist');
  const points = pointDataset({ name: 'points', points: Float32Array.of(1, 2), dimension: 2 });
  expect(() => withXFlips(points)).toThrow('"points": x-flips are for images, and its samples have the shape [2]');
});

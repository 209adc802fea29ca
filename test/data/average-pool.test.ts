import { expect, test } from 'vitest';
import { averagePooled } from '../../src/data/average-pool.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { UsageError } from '../../src/errors.ts';

test('squares of pixels are averaged, in values', () => {
  // Two channels of 2 x 4 pixels; the second image is the first in reverse.
  const first = [0, 255, 51, 51, 0, 255, 51, 51, 10, 20, 30, 40, 50, 60, 70, 80];
  const dataset = averagePooled(
    memoryDataset({
      name: 'two',
      data: Uint8Array.from([...first, ...[...first].reverse()]),
      sampleShape: [2, 2, 4],
      labelled: { labels: [1, 0], classes: 2 },
    }),
    2,
  );
  expect(dataset).toMatchObject({ name: 'two-1x2', length: 2, sampleShape: [2, 1, 2], dtype: 'float32', classes: 2 });
  expect([dataset.label(0), dataset.label(1)]).toEqual([1, 0]);
  const image = new Float32Array(4);
  dataset.read(0, image, 0);
  const value = (pixel: number): number => pixel / 127.5 - 1;
  [127.5, 51, 35, 55].forEach((pixel, k) => expect(image[k]).toBeCloseTo(value(pixel), 6));
  dataset.read(1, image, 0);
  [55, 35, 51, 127.5].forEach((pixel, k) => expect(image[k]).toBeCloseTo(value(pixel), 6));
});

test('what can not be divided is refused', () => {
  const points = memoryDataset({ name: 'points', data: new Float32Array(8), sampleShape: [2] });
  const image = memoryDataset({ name: 'image', data: new Float32Array(9), sampleShape: [1, 3, 3] });
  expect(() => averagePooled(points, 2)).toThrow(UsageError);
  expect(() => averagePooled(image, 2)).toThrow('whose sides are multiples of 2, got [1, 3, 3]');
});

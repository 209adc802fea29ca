import { expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { noiseEstimates } from '../../src/metrics/noise-estimate.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';

const shape = [3, 32, 32] as const;
const size = 3 * 32 * 32;

/** Slanted planes with white noise of a standard deviation. */
function images(count: number, sigma: number): Float32Array {
  const values = new Float32Array(count * size);
  fillNormal(values, { seed: 1, stream: streams.evaluation, step: 0, sample: 0 });
  return values.map((z, k) => sigma * z + 0.01 * (k % 32) - 0.02 * (Math.floor(k / 32) % 32));
}

test('the standard deviation of white noise on a plane', () => {
  // The diagonal coefficient of a plane is 0 and that of white noise has its own standard deviation. The median of 768
  // magnitudes has a relative standard error of 1.167 / sqrt(768) = 4.2 %: 16 images average to 1.1 %, four of these.
  for (const sigma of [0.02, 0.3]) {
    const estimates = noiseEstimates(images(16, sigma), shape);
    const mean = estimates.reduce((a, b) => a + b, 0) / 16;
    expect(Math.abs(mean / sigma - 1)).toBeLessThan(0.044);
  }
});

test('no noise on a plane without any, but for rounding', () => {
  for (const estimate of noiseEstimates(images(4, 0), shape)) expect(estimate).toBeLessThan(1e-6);
});

test('odd sides leave a row and a column out', () => {
  // [1, 3, 3]: one square, 1 - 2 - 4 + 9 = 4, halved, over 0.6745.
  const [estimate] = noiseEstimates(Float64Array.from([1, 2, 99, 4, 9, 99, 99, 99, 99]), [1, 3, 3]);
  expect(estimate).toBeCloseTo(2 / 0.6744897501960817, 12);
});

test('what is not whole images of 2 x 2 pixels or more is refused', () => {
  expect(() => noiseEstimates(new Float32Array(5), [1, 2, 2])).toThrow(ShapeError);
  expect(() => noiseEstimates(new Float32Array(4), [1, 1, 4])).toThrow(ShapeError);
});

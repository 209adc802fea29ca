import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { gaussianDiscrepancy, medianBandwidth } from '../../src/metrics/index.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';
import { mean, median, standardError } from '../../src/numerics/statistics.ts';
import { testValues } from '../support/random.ts';

const distance = (a: Float64Array, i: number, b: Float64Array, j: number, d: number): number =>
  Math.hypot(...a.slice(i * d, (i + 1) * d).map((each, k) => each - b[j * d + k]));

/** Gretton et al. 2012, eq. 3, as it is written. */
function directly(x: Float64Array, y: Float64Array, d: number, width: number): number {
  const average = (a: Float64Array, b: Float64Array): number => {
    const values: number[] = [];
    for (let i = 0; i < a.length / d; i++) {
      for (let j = 0; j < b.length / d; j++)
        if (a !== b || i !== j) values.push(Math.exp(-(distance(a, i, b, j, d) ** 2) / (2 * width ** 2)));
    }
    return mean(values);
  };
  return average(x, x) + average(y, y) - 2 * average(x, y);
}

const normals = (length: number, sample: number): Float64Array => {
  const out = new Float64Array(length);
  fillNormal(out, { seed: 41, stream: streams.toyData, step: 0, sample });
  return out;
};

describe('gaussianDiscrepancy', () => {
  test.each([
    [2, 2, 1],
    [30, 17, 2],
    [20, 25, 5],
  ])('is the double sum for %d against %d points of %d coordinates', (n, m, d) => {
    const [x, y] = [testValues(n * d, [-1, 1], 1), testValues(m * d, [-1, 2], 2)];
    for (const bandwidth of [0.1, 1, 10]) {
      const result = gaussianDiscrepancy(x, y, { dimension: d, bandwidth });
      expect(result.bandwidth).toBe(bandwidth);
      expect(result.squared).toBeCloseTo(directly(x, y, d, bandwidth), 13); // means of kernels below 1
    }
    const { squared, bandwidth } = gaussianDiscrepancy(x, y, { dimension: d });
    expect(bandwidth).toBe(medianBandwidth(x, y, d));
    expect(squared).toBeCloseTo(directly(x, y, d, bandwidth), 13);
  });

  test('two Gaussians: the mean over pairs of sets is the squared MMD of their laws', () => {
    // For N(0, 1) and N(s, 1) the mean kernel is w exp(-s^2 / (2 (h^2 + 2))), w = h / sqrt(h^2 + 2), and w within a set.
    const h = 1;
    const width = h / Math.sqrt(h ** 2 + 2);
    for (const shift of [0, 1]) {
      const values = Array.from({ length: 200 }, (_, i) => {
        const y = normals(30, 2 * i + 1).map((each) => each + shift);
        return gaussianDiscrepancy(normals(30, 2 * i), y, { dimension: 1, bandwidth: h }).squared;
      });
      const expected = 2 * width * (1 - Math.exp(-(shift ** 2) / (2 * (h ** 2 + 2))));
      // Five standard errors: a chance of 6e-7 for 200 independent estimates.
      expect(Math.abs(mean(values) - expected)).toBeLessThan(5 * standardError(values));
    }
  });

  test('refuses single points, partial points, NaN and widths that are not above 0', () => {
    const four = testValues(4);
    const line = { dimension: 1, bandwidth: 1 };
    expect(() => gaussianDiscrepancy(four, new Float64Array(1), line)).toThrow('b must have at least 2 rows, got 1');
    expect(() => gaussianDiscrepancy(four, testValues(3), { dimension: 2 })).toThrow(ShapeError);
    expect(() => gaussianDiscrepancy(four, Float64Array.of(0, NaN), line)).toThrow(NonFiniteError);
    for (const bandwidth of [0, -1, NaN, Infinity])
      expect(() => gaussianDiscrepancy(four, four, { dimension: 1, bandwidth })).toThrow(UsageError);
  });
});

describe('medianBandwidth', () => {
  test('is the median of the distances of all pairs of both sets', () => {
    // 0, 1, 3 and 10: distances 1, 2, 3, 7, 9, 10.
    expect(medianBandwidth(Float32Array.of(3, 0), Float32Array.of(10, 1), 1)).toBe(5);
    const [x, y] = [testValues(60, [-1, 1], 1), testValues(90, [-1, 1], 2)];
    const both = Float64Array.of(...x, ...y);
    const distances: number[] = [];
    for (let i = 0; i < 50; i++) for (let j = 0; j < i; j++) distances.push(distance(both, i, both, j, 3));
    expect(medianBandwidth(x, y, 3)).toBeCloseTo(median(distances), 14);
  });

  test('of more than 1000 points takes evenly spaced ones of both sets', () => {
    // 0, 2, 4, ... of 0 .. 1999: the distances of 1000 points 2 apart.
    const line = Float64Array.from({ length: 2000 }, (_, i) => i);
    const distances = Array.from({ length: 999 }, (_, i) => new Array<number>(999 - i).fill(2 * (i + 1))).flat();
    expect(medianBandwidth(line.subarray(0, 700), line.subarray(700), 1)).toBe(median(distances));
  });

  test('refuses copies of one point', () => {
    expect(() => medianBandwidth(new Float32Array(4), new Float32Array(4), 2)).toThrow('the median distance is 0');
  });
});

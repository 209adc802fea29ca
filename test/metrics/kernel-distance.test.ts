import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { kernelDistance, kernelInceptionDistance } from '../../src/metrics/index.ts';
import { fillNormal, permutation, streams } from '../../src/numerics/random.ts';
import { mean, populationStandardDeviation, standardError } from '../../src/numerics/statistics.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

/** The estimate of Gretton et al. 2012, eq. 3, as it is written: over i != j, and over all pairs of the two sets. */
function directly(
  x: Float64Array,
  y: Float64Array,
  d: number,
  { degree = 3, gamma = 1 / d, offset = 1 }: { degree?: number; gamma?: number; offset?: number } = {},
): number {
  const kernel = (a: Float64Array, i: number, b: Float64Array, j: number): number => {
    let product = 0;
    for (let k = 0; k < d; k++) product += a[i * d + k] * b[j * d + k];
    return (gamma * product + offset) ** degree;
  };
  const [n, m] = [x.length / d, y.length / d];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i !== j) xx += kernel(x, i, x, j);
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) if (i !== j) yy += kernel(y, i, y, j);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) xy += kernel(x, i, y, j);
  return xx / (n * (n - 1)) + yy / (m * (m - 1)) - (2 * xy) / (n * m);
}

const normals = (length: number, sample: number): Float64Array => {
  const out = new Float64Array(length);
  fillNormal(out, { seed: 31, stream: streams.toyData, step: 0, sample });
  return out;
};

describe('kernelDistance', () => {
  // Bands and blocks have 256 rows.
  test.each([
    [2, 3, 4],
    [50, 50, 7],
    [300, 520, 3],
  ])('is the double sum for %d against %d rows of %d', async (n, m, d) => {
    const [x, y] = [testValues(n * d, [-1, 1], 1), testValues(m * d, [-1, 2], 2)];
    // Means of kernels of at most (2 + 1)^3 = 27: rounding of 1e-14 each, and of their sums in another order.
    expect(await kernelDistance(x, y, { dimension: d })).toBeCloseTo(directly(x, y, d), 12);
    const kernel = { degree: 2, gamma: 0.3, offset: -0.5 };
    expect(await kernelDistance(x, y, { dimension: d, ...kernel })).toBeCloseTo(directly(x, y, d, kernel), 12);
  });

  test('by hand: 1 and 2 against 0 and 3 with the kernel x y + 1', async () => {
    // 2 + 1 within a, 0 + 1 within b, between: 1, 4, 1, 7 of mean 13 / 4.
    const kernel = { dimension: 1, degree: 1 };
    expect(await kernelDistance(Float32Array.of(1, 2), Float32Array.of(0, 3), kernel)).toBe(3 + 1 - 6.5);
  });

  test('is 0 on average for sets of one distribution, and not for others', async () => {
    const between = async (shift: number): Promise<Float64Array> => {
      const values = new Float64Array(200);
      for (let i = 0; i < values.length; i++) {
        const y = normals(60, 2 * i + 1).map((each) => each + shift);
        values[i] = await kernelDistance(normals(60, 2 * i), y, { dimension: 3 });
      }
      return values;
    };
    const same = await between(0);
    // Five standard errors: a chance of 6e-7 for 200 independent estimates.
    expect(Math.abs(mean(same))).toBeLessThan(5 * standardError(same));
    expect(Math.min(...same)).toBeLessThan(0);
    const shifted = await between(0.5);
    expect(mean(shifted)).toBeGreaterThan(5 * standardError(shifted));
  });

  test('refuses single rows, partial rows, NaN and impossible degrees', async () => {
    const two = new Float32Array(4);
    const planar = { dimension: 2 };
    await expect(kernelDistance(new Float32Array(2), two, planar)).rejects.toThrow(
      'a must have at least 2 rows, got 1',
    );
    await expect(kernelDistance(two, new Float32Array(3), planar)).rejects.toThrow(ShapeError);
    await expect(kernelDistance(two, Float32Array.of(0, 1, 2, Infinity), planar)).rejects.toThrow(NonFiniteError);
    await expect(kernelDistance(two, two, { ...planar, degree: 1.5 })).rejects.toThrow(UsageError);
    await expect(kernelDistance(two, two, { ...planar, gamma: NaN })).rejects.toThrow('gamma must be a finite number');
  });
});

describe('kernelInceptionDistance', () => {
  const dimension = 4;
  const [a, b] = [testValues(90 * dimension, [-1, 1], 1), testValues(70 * dimension, [-1, 1.5], 2)];
  const options = { dimension, subsets: 5, subsetSize: 30, seed: 3 };

  test('compares the first rows of seeded random orders, a new one for each subset and set', async () => {
    const result = await kernelInceptionDistance(a, b, options);
    const rows = (from: Float64Array, step: number): Float64Array => {
      const order = permutation(from.length / dimension, 3, streams.evaluation, step).subarray(0, 30);
      return Float64Array.from([...order].flatMap((row) => [...from.subarray(row * dimension, (row + 1) * dimension)]));
    };
    const expected = Array.from({ length: 5 }, (_, s) => directly(rows(a, 2 * s + 1), rows(b, 2 * s + 2), dimension));
    expectClose(result.values, expected, { absolute: 1e-12 }); // as above
    expect(result.mean).toBe(mean(result.values));
    expect(result.standardDeviation).toBe(populationStandardDeviation(result.values));
  });

  test('the same seed gives the same bits, another seed other subsets', async () => {
    const first = await kernelInceptionDistance(a, b, options);
    expect(await kernelInceptionDistance(a, b, options)).toEqual(first);
    const other = await kernelInceptionDistance(a, b, { ...options, seed: 4 });
    expect(other.values.some((each) => first.values.includes(each))).toBe(false);
  });

  test('subsets of everything are the whole, whatever the order', async () => {
    const both = a.subarray(0, b.length);
    const result = await kernelInceptionDistance(both, b, { dimension, subsets: 2, subsetSize: 70 });
    const whole = directly(both, b, dimension);
    expectClose(result.values, [whole, whole], { absolute: 1e-12 });
  });

  test('by default 100 subsets of 1000 rows', async () => {
    const points = normals(1000, 5);
    const { values } = await kernelInceptionDistance(points, points, { dimension: 1, degree: 1, subsetSize: 20 });
    expect(values).toHaveLength(100);
    await expect(kernelInceptionDistance(points.subarray(1), points, { dimension: 1 })).rejects.toThrow(
      'subsets of 1000 need as many images, but a has 999; choose a subsetSize of at most 999',
    );
  });

  test('refuses impossible sizes', async () => {
    await expect(kernelInceptionDistance(a, b, { ...options, subsetSize: 1 })).rejects.toThrow(
      'subsetSize must be a whole number of at least 2, got 1',
    );
    await expect(kernelInceptionDistance(a, b, { ...options, subsets: 0 })).rejects.toThrow(UsageError);
  });
});

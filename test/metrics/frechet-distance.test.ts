import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { featureStatistics, frechetDistance } from '../../src/metrics/index.ts';
import { expectClose } from '../support/compare.ts';
import { gram, jacobiEigen, product, reflection, transpose, withEigenvalues } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

/** A covariance of full rank. */
const covariance = (d: number, seed: number): Float64Array =>
  gram(testValues(2 * d * d, [-1, 1], seed), 2 * d, d).map((each) => each / (2 * d));

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);

describe('frechetDistance', () => {
  test('equal covariances leave the squared distance of the means', () => {
    for (const d of [1, 7, 70]) {
      const sigma = covariance(d, d);
      const [a, b] = [testValues(d, [-3, 3], 1), testValues(d, [-3, 3], 2)];
      const result = frechetDistance({ mu: a, sigma }, { mu: b, sigma });
      const expected = sum(a.map((each, i) => (each - b[i]) ** 2));
      expect(result.meanTerm).toBeCloseTo(expected, 10); // sums of at most 70 terms of at most 36
      // The traces are below 70 and what is subtracted rounds some dozen times: 1e-13 each.
      expect(Math.abs(result.distance - expected)).toBeLessThan(1e-11);
      expect(result.distance).toBe(result.meanTerm + result.covarianceTerm);
    }
  });

  // 300 rows of 40; of 40 with copies and constants; fewer rows than dimensions; more than a panel; constants alone.
  const sets: readonly (readonly [string, number, number, (value: number, column: number) => number])[] = [
    ['full rank', 300, 40, (value) => value],
    ['copies and constants', 300, 40, (value, column) => (column % 4 === 0 ? 0.25 : value)],
    ['n < d', 20, 50, (value) => value],
    ['n < d, large and small features', 90, 150, (value, column) => value * 10 ** ((column % 7) - 3)],
    ['constant', 10, 4, () => 0.3],
  ];
  test.each(sets)('a set and itself are at 0, |FID| < 1e-6: %s', (_, n, d, change) => {
    const values = testValues(n * d, [0, 1], n);
    const features = values.map((value, i) => change(value, i % d));
    if (d === 40) for (let row = 0; row < n; row++) features[row * d + 7] = features[row * d + 9];
    const { distance } = frechetDistance(featureStatistics(features, d), featureStatistics(features.slice(), d));
    expect(distance).toBeGreaterThanOrEqual(0);
    expect(distance).toBeLessThan(1e-6);
    // In another order of the rows only roundings differ.
    const turned = Float64Array.from(features, (__, i) => features[(n - 1 - Math.floor(i / d)) * d + (i % d)]);
    expect(frechetDistance(featureStatistics(features, d), featureStatistics(turned, d)).distance).toBeLessThan(1e-6);
  });

  test('commuting covariances: the sum of (sqrt a_i - sqrt b_i)^2, also where one is 0', () => {
    const d = 30;
    const q = product(reflection(testValues(d, [-1, 1], 1)), reflection(testValues(d, [-1, 1], 2)), [d, d, d]);
    const a = testValues(d, [0.1, 4], 3);
    const b = testValues(d, [0.1, 4], 4);
    const mu = new Float64Array(d);
    const distance = (x: Float64Array, y: Float64Array): number =>
      frechetDistance({ mu, sigma: withEigenvalues(x, q) }, { mu, sigma: withEigenvalues(y, q) }).distance;
    const closed = (x: Float64Array, y: Float64Array): number =>
      sum(x.map((each, i) => (Math.sqrt(each) - Math.sqrt(y[i])) ** 2));
    // Traces of about 60 and products that round 30 times.
    expect(Math.abs(distance(a, b) - closed(a, b))).toBeLessThan(1e-12);
    const flat = a.map((each, i) => (i % 3 === 0 ? 0 : each));
    // Where an eigenvalue is 0 the matrix holds 1e-15 of rounding, whose root beside b = 4 is 2 * 6e-8 at most.
    expect(Math.abs(distance(flat, b) - closed(flat, b))).toBeLessThan(10 * 2 * 2 * 6e-8);
  });

  test('two by two: tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))', () => {
    const entry = fc.double({ min: -2, max: 2, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(entry, entry, entry, entry, entry, entry, entry, entry), (given) => {
        const sigmas = [given.slice(0, 4), given.slice(4)].map((root) => {
          const sigma = gram(root, 2, 2);
          sigma[0] += 0.1;
          sigma[3] += 0.1;
          return sigma;
        });
        const [s, t] = sigmas;
        const m = product(s, t, [2, 2, 2]);
        const determinant = (s[0] * s[3] - s[1] * s[2]) * (t[0] * t[3] - t[1] * t[2]);
        const expected = s[0] + s[3] + t[0] + t[3] - 2 * Math.sqrt(m[0] + m[3] + 2 * Math.sqrt(determinant));
        const mu = new Float64Array(2);
        // Determinants of at least 1e-2 are differences of numbers up to 65: 1e-12 relative, on traces of at most 33.
        expect(Math.abs(frechetDistance({ mu, sigma: s }, { mu, sigma: t }).distance - expected)).toBeLessThan(1e-10);
      }),
    );
  });

  test('any covariances: the eigenvalues of S_1^(1/2) sigma_2 S_1^(1/2), by Jacobi rotations', () => {
    for (const d of [3, 12, 25]) {
      const [s, t] = [covariance(d, 1), covariance(d, 2)];
      const { values, vectors } = jacobiEigen(s, d);
      const root = withEigenvalues(values.map(Math.sqrt), vectors);
      const inner = product(product(root, t, [d, d, d]), root, [d, d, d]);
      const trace = sum(jacobiEigen(inner, d).values.map((each) => Math.sqrt(each)));
      const diagonal = (x: Float64Array): number => sum(x.filter((_, i) => i % (d + 1) === 0));
      const mu = new Float64Array(d);
      const result = frechetDistance({ mu, sigma: s }, { mu, sigma: t });
      expect(Math.abs(result.distance - (diagonal(s) + diagonal(t) - 2 * trace))).toBeLessThan(1e-12);
      expect(result.ranks).toEqual([d, d]);
      expect(frechetDistance({ mu, sigma: t }, { mu, sigma: s }).distance).toBeCloseTo(result.distance, 12);
    }
  });

  test('one coordinate: (m_1 - m_2)^2 + (s_1 - s_2)^2', () => {
    const at = (m: number, s: number) => ({ mu: Float64Array.of(m), sigma: Float64Array.of(s * s) });
    expect(frechetDistance(at(1, 2), at(4, 0.5)).distance).toBeCloseTo(9 + 2.25, 13);
    expect(frechetDistance(at(1, 2), at(4, 0)).distance).toBe(9 + 4);
  });

  test('rotations of both sets, a common shift and the order of sets change nothing; a factor of 2 makes it 4 times', () => {
    const d = 6;
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 3, max: 40 }), fc.integer({ min: 3, max: 40 }), (seed, n, m) => {
        const [x, y] = [testValues(n * d, [-1, 1], seed), testValues(m * d, [-2, 1], seed + 1)];
        const q = reflection(testValues(d, [-1, 1.1], seed + 2));
        const distance = (change: (rows: Float64Array, count: number) => Float64Array): number => {
          const [a, b] = [change(x, n), change(y, m)].map((rows) => featureStatistics(rows, d));
          return frechetDistance(a, b).distance;
        };
        const plain = distance((rows) => rows);
        // A set of fewer than 7 rows has eigenvalues of 0, of which a rotation leaves 1e-16; its root may count: 1e-7.
        const allowed = Math.min(n, m) > d ? 1e-11 : 1e-6;
        expect(Math.abs(distance((rows, count) => product(rows, q, [count, d, d])) - plain)).toBeLessThan(allowed);
        expect(Math.abs(distance((rows) => rows.map((each) => each + 1)) - plain)).toBeLessThan(allowed);
        expect(distance((rows) => rows.map((each) => 2 * each))).toBe(4 * plain);
        const [a, b] = [featureStatistics(x, d), featureStatistics(y, d)];
        expect(Math.abs(frechetDistance(b, a).distance - plain)).toBeLessThan(1e-12);
      }),
      { numRuns: 50 },
    );
  });

  test('fewer samples than dimensions: as in the space that the samples span', () => {
    // 10 and 12 rows whose coordinates beyond the 30th are 0 in one basis, and not in the other.
    const d = 45;
    const spread = (rows: number, seed: number): Float64Array =>
      testValues(rows * d, [-1, 1], seed).map((each, i) => (i % d < 30 ? each : 0));
    const [x, y] = [spread(10, 1), spread(12, 2)];
    const q = reflection(testValues(d, [-1, 1], 3));
    const [a, b] = [featureStatistics(product(x, q, [10, d, d]), d), featureStatistics(product(y, q, [12, d, d]), d)];
    const { distance, ranks, meanTerm } = frechetDistance(a, b);
    expect(ranks).toEqual([9, 11]);
    // tr sqrt(sigma_x sigma_y) is the sum of singular values of X Y^T: here of centred rows, by their 10 x 10 Gram matrix.
    const centred = (rows: Float64Array, n: number): Float64Array => {
      const { mu } = featureStatistics(rows, d);
      return rows.map((each, i) => (each - mu[i % d]) / Math.sqrt(n - 1));
    };
    const cross = product(centred(x, 10), transpose(centred(y, 12), 12, d), [10, d, 12]);
    const squares = jacobiEigen(product(cross, transpose(cross, 10, 12), [10, 12, 10]), 10).values;
    const traces = sum(centred(x, 10).map((v) => v * v)) + sum(centred(y, 12).map((v) => v * v));
    // One of the ten squares is 0 by centring, known to 1e-16: its root to 1e-8.
    const expected = traces - 2 * sum(squares.map((each) => Math.sqrt(Math.max(0, each))));
    expect(Math.abs(distance - meanTerm - expected)).toBeLessThan(1e-7);
    expectClose([meanTerm], [sum(a.mu.map((each, i) => (each - b.mu[i]) ** 2))], { relative: 1e-14 });
  });

  test('refuses sizes that do not fit, NaN, and what is no covariance', () => {
    const good = { mu: new Float64Array(2), sigma: Float64Array.of(1, 0, 0, 1) };
    expect(() => frechetDistance(good, { mu: new Float64Array(3), sigma: new Float64Array(9) })).toThrow(ShapeError);
    expect(() => frechetDistance(good, { ...good, sigma: new Float64Array(3) })).toThrow('got 2 and 3 values');
    expect(() => frechetDistance({ ...good, mu: Float64Array.of(0, NaN) }, good)).toThrow(NonFiniteError);
    expect(() => frechetDistance(good, { ...good, sigma: Float64Array.of(1, 0, Infinity, 1) })).toThrow(
      'element 2 of sigma of b is Infinity',
    );
    expect(() => frechetDistance(good, { ...good, sigma: Float64Array.of(1, 3, 3, 1) })).toThrow(UsageError);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { featureAccumulator, featureStatistics } from '../../src/metrics/index.ts';
import type { Features, FeatureStatistics } from '../../src/metrics/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

/** Mean and covariance by their definitions, two passes. */
function direct(features: Features, d: number): FeatureStatistics {
  const n = features.length / d;
  const column = (i: number): number[] => Array.from({ length: n }, (_, row) => features[row * d + i]);
  const mu = Float64Array.from({ length: d }, (_, i) => column(i).reduce((a, b) => a + b) / n);
  const centred = Array.from(mu, (centre, i) => column(i).map((each) => each - centre));
  const sigma = Float64Array.from({ length: d * d }, (_, at) => {
    const [x, y] = [centred[Math.floor(at / d)], centred[at % d]];
    return x.reduce((sum, each, row) => sum + each * y[row], 0) / (n - 1);
  });
  return { n, mu, sigma };
}

function expectStatistics(actual: FeatureStatistics, expected: FeatureStatistics, relative: number): void {
  expect(actual.n).toBe(expected.n);
  expectClose(actual.mu, expected.mu, { relative }, 'mu');
  expectClose(actual.sigma, expected.sigma, { relative }, 'sigma');
}

describe('featureStatistics', () => {
  // Blocks have 256 rows, stripes of the covariance 128.
  test.each([
    [2, 3],
    [256, 5],
    [700, 11],
    [90, 140],
  ])('%d rows of %d are the definition: divisor n - 1, symmetric', (n, d) => {
    const features = testValues(n * d, [0, 3], n);
    const statistics = featureStatistics(features, d);
    // Sums of up to 700 terms in two orders: some hundred roundings at most.
    expectStatistics(statistics, direct(features, d), 1e-13);
    for (let i = 0; i < d; i++)
      for (let j = 0; j < i; j++) expect(statistics.sigma[i * d + j]).toBe(statistics.sigma[j * d + i]);
  });

  test('by hand: the rows (1, 2), (3, 2), (5, 8)', () => {
    const { n, mu, sigma } = featureStatistics(Float32Array.of(1, 2, 3, 2, 5, 8), 2);
    expect([n, ...mu, ...sigma]).toEqual([3, 3, 4, 4, 6, 6, 12]);
  });

  test('a large mean does not eat the digits', () => {
    const small = testValues(600 * 4, [-1, 1]);
    // 2^20 + x rounds x to 2^-33, which is done first so that both sets hold the same differences.
    const rounded = small.map((x) => Math.round(x * 2 ** 32) / 2 ** 32);
    const shifted = rounded.map((x) => x + 2 ** 20);
    // The mean of a block is a sum of 256 numbers up to 2^28, off by at most 2^-26 after the division, and counts with
    // twice the difference of the means of blocks, below 1. Plain sums of squares would be off by 2^40 2^-53 = 1e-4.
    expectClose(featureStatistics(shifted, 4).sigma, featureStatistics(rounded, 4).sigma, { absolute: 2 ** -25 });
  });

  test('refuses a single row, parts of rows and NaN, and says where', () => {
    expect(() => featureStatistics(new Float32Array(3), 3)).toThrow('needs at least 2 feature vectors, got 1');
    expect(() => featureStatistics(new Float32Array(4), 3)).toThrow(ShapeError);
    expect(() => featureStatistics(Float32Array.of(0, 1, 2, NaN), 2)).toThrow(NonFiniteError);
    expect(() => featureStatistics(Float32Array.of(0, 1, 2, NaN), 2)).toThrow('row 1 has the value NaN');
    expect(() => featureAccumulator(0)).toThrow(UsageError);
  });
});

describe('featureAccumulator', () => {
  const d = 3;
  const features = testValues(900 * d, [0, 2]);
  const whole = featureStatistics(features, d);

  test('portions of any size give the same bits', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 6 }), (sizes) => {
        const accumulator = featureAccumulator(d);
        let row = 0;
        for (const size of [...sizes, 900]) {
          const end = Math.min(900, row + size);
          // The caller's array is used again for the next portion.
          const portion = features.slice(row * d, end * d);
          accumulator.add(portion);
          portion.fill(NaN);
          row = end;
          accumulator.moments(); // a look changes nothing
        }
        expect(accumulator.n).toBe(900);
        expect(accumulator.statistics()).toEqual(whole);
      }),
      { numRuns: 25 },
    );
  });

  test('merged shards have the values of the whole, and are not changed', () => {
    const shards = [0, 10, 10, 600, 900].slice(0, -1).map((from, i) => {
      const accumulator = featureAccumulator(d);
      accumulator.add(features.subarray(from * d, [10, 10, 600, 900][i] * d));
      return accumulator;
    });
    const total = featureAccumulator(d);
    for (const shard of shards) total.merge(shard);
    expectStatistics(total.statistics(), whole, 1e-14);
    expect(shards.map(({ n }) => n)).toEqual([10, 0, 590, 300]);
    const again = featureAccumulator(d);
    for (const shard of shards) again.merge(shard);
    expect(again.statistics()).toEqual(total.statistics());
    again.add(features.subarray(0, 30 * d));
    expectStatistics(
      again.statistics(),
      direct(Float64Array.of(...features, ...features.subarray(0, 30 * d)), d),
      1e-14,
    );
  });

  test('rows with NaN are not taken, and another dimension is not merged', () => {
    const accumulator = featureAccumulator(d);
    accumulator.add(features);
    expect(() => accumulator.add(Float64Array.of(1, 2, 3, 4, NaN, 6))).toThrow(NonFiniteError);
    expect(accumulator.statistics()).toEqual(whole);
    expect(() => accumulator.merge(featureAccumulator(2))).toThrow(
      'features of 2 values cannot be merged with those of 3',
    );
  });
});

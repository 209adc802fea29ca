import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { inceptionScore } from '../../src/metrics/index.ts';
import { populationStandardDeviation } from '../../src/numerics/statistics.ts';
import { testValues } from '../support/random.ts';

/** Rows that are certain of class `row % classes`. */
const oneHot = (rows: number, classes: number, high: number): Float64Array =>
  Float64Array.from({ length: rows * classes }, (_, i) =>
    i % classes === Math.floor(i / classes) % classes ? high : 0,
  );

describe('inceptionScore', () => {
  test('is 1 when every image has the same probabilities', () => {
    const same = { classes: 10, splits: 4 };
    // A mean of logarithms of 1/10 and its counterpart: a few roundings of 2.3.
    expect(inceptionScore(new Float32Array(400), same).mean).toBeCloseTo(1, 13);
    const uniform = new Float64Array(400).fill(0.1);
    expect(inceptionScore(uniform, { ...same, from: 'probabilities' }).mean).toBeCloseTo(1, 13);
    const certain = Float64Array.from({ length: 400 }, (_, i) => (i % 10 === 3 ? 1 : 0));
    expect(inceptionScore(certain, { ...same, from: 'probabilities' }).mean).toBe(1);
  });

  test('is the number of classes for certain images that are spread evenly', () => {
    for (const classes of [2, 10, 300]) {
      const options = { classes, splits: 2 };
      const probabilities = oneHot(2 * classes, classes, 1);
      const { mean, standardDeviation } = inceptionScore(probabilities, { ...options, from: 'probabilities' });
      // Sums of 600 terms that reach 300 ln 300 = 1700, divided by 300: off by 600 * 2^-53 * 5.7 = 4e-13 at most.
      expect(Math.abs(mean / classes - 1)).toBeLessThan(1e-12);
      expect(standardDeviation).toBe(0);
      // exp(-800) is 0 in float64, and exp(800) would be infinite.
      expect(Math.abs(inceptionScore(oneHot(2 * classes, classes, 800), options).mean / classes - 1)).toBeLessThan(
        1e-12,
      );
    }
  });

  test('by hand: (3/4, 1/4) and (1/4, 3/4) are exp(3/4 ln 3/2 + 1/4 ln 1/2)', () => {
    const rows = Float64Array.of(0.75, 0.25, 0.25, 0.75);
    const expected = 1.5 ** 0.75 * 0.5 ** 0.25;
    expect(inceptionScore(rows, { classes: 2, splits: 1, from: 'probabilities' }).mean).toBeCloseTo(expected, 14);
    const logits = rows.map((p) => Math.log(p) + 5);
    expect(inceptionScore(logits, { classes: 2, splits: 1 }).mean).toBeCloseTo(expected, 14);
  });

  test('split i is rows floor(i N / splits) .. floor((i + 1) N / splits), in their order', () => {
    const logits = testValues(7 * 5, [-3, 3]);
    const options = { classes: 5 };
    const result = inceptionScore(logits, { ...options, splits: 3 });
    const parts = [logits.subarray(0, 10), logits.subarray(10, 20), logits.subarray(20)];
    const alone = parts.map((part) => inceptionScore(part, { ...options, splits: 1 }).mean);
    expect([...result.scores]).toEqual(alone);
    expect(result.mean).toBeCloseTo((alone[0] + alone[1] + alone[2]) / 3, 14);
    expect(result.standardDeviation).toBe(populationStandardDeviation(alone));
    expect(inceptionScore(testValues(50, [-3, 3]), options).scores).toHaveLength(10);
  });

  test('lies between 1 and the number of classes, and is exp of the mean divergence', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer(),
        (rows, classes, seed) => {
          const p = testValues(rows * classes, [0.01, 1], seed);
          for (let row = 0; row < rows; row++) {
            const part = p.subarray(row * classes, (row + 1) * classes);
            const total = part.reduce((a, b) => a + b);
            part.forEach((each, i) => (part[i] = each / total));
          }
          const { mean } = inceptionScore(p, { classes, splits: 1, from: 'probabilities' });
          let divergence = 0;
          for (let i = 0; i < p.length; i++) {
            let marginal = 0;
            for (let row = 0; row < rows; row++) marginal += p[row * classes + (i % classes)] / rows;
            divergence += (p[i] * Math.log(p[i] / marginal)) / rows;
          }
          expect(Math.abs(mean - Math.exp(divergence))).toBeLessThan(1e-13); // some dozen roundings of numbers up to 6
          expect(mean).toBeGreaterThan(1 - 1e-13);
          expect(mean).toBeLessThan(classes + 1e-13);
        },
      ),
    );
  });

  test('refuses logits as probabilities, too few images, NaN and partial rows', () => {
    const from = 'probabilities';
    expect(() => inceptionScore(Float32Array.of(2, -1), { classes: 2, splits: 1, from })).toThrow('are these logits?');
    expect(() => inceptionScore(Float32Array.of(2, 1), { classes: 2, splits: 1, from })).toThrow('sum to 3, not 1');
    expect(() => inceptionScore(new Float32Array(18), { classes: 2 })).toThrow(
      '10 splits need at least as many images, got 9',
    );
    expect(() => inceptionScore(Float32Array.of(1, NaN), { classes: 2, splits: 1 })).toThrow(NonFiniteError);
    expect(() => inceptionScore(new Float32Array(5), { classes: 2 })).toThrow(ShapeError);
    expect(() => inceptionScore(new Float32Array(4), { classes: 2, splits: 0 })).toThrow(UsageError);
  });
});

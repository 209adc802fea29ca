import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  mean,
  median,
  populationStandardDeviation,
  quantile,
  standardDeviation,
  standardError,
} from '../../src/numerics/statistics.ts';

describe('NIST statistical reference data', () => {
  // NumAcc4: 1001 values around 10000000.2; certified mean 10000000.2 and standard deviation 0.1.
  const numAcc4 = Float64Array.from({ length: 1001 }, (_, i) => 10000000 + (i === 0 ? 0.2 : i % 2 === 1 ? 0.1 : 0.3));

  test('NumAcc4', () => {
    // At 1e7 neighbouring numbers are 1.9e-9 apart, so the stored values are off by up to 1e-9, and mean and standard
    // deviation by as much. We allow ten times that; a plain running sum to 1e10 would be off by 1e-7.
    expect(Math.abs(mean(numAcc4) - 10000000.2)).toBeLessThan(1e-8);
    expect(Math.abs(standardDeviation(numAcc4) - 0.1)).toBeLessThan(1e-8);
    expect(Math.abs(standardError(numAcc4) - 0.1 / Math.sqrt(1001))).toBeLessThan(1e-9);
  });
});

test('small samples worked by hand', () => {
  expect(mean([1, 2, 6])).toBe(3);
  expect(standardDeviation([1, 2, 6])).toBe(Math.sqrt((4 + 1 + 9) / 2));
  expect(populationStandardDeviation([1, 2, 6])).toBeCloseTo(Math.sqrt((4 + 1 + 9) / 3), 15);
  expect(populationStandardDeviation([7])).toBe(0);
  expect(median([6, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([5])).toBe(5);
});

test('quantiles are linear between the sorted values', () => {
  const values = [40, 10, 30, 20]; // at fractions 0, 1/3, 2/3, 1
  expect(quantile(values, 0)).toBe(10);
  expect(quantile(values, 1)).toBe(40);
  expect(quantile(values, 0.25)).toBe(17.5);
  expect(quantile(values, 0.5)).toBe(25);
  expect(values).toEqual([40, 10, 30, 20]);
  expect(quantile([-Infinity, 0, Infinity, Infinity], 0.9)).toBe(Infinity);
});

test('what has no answer is refused', () => {
  expect(() => mean([])).toThrow('mean: needs at least 1 value, got 0');
  expect(() => standardDeviation([1])).toThrow('standardDeviation: needs at least 2 values, got 1');
  expect(() => standardError([1])).toThrow(UsageError);
  expect(() => quantile([1], 1.5)).toThrow('fraction must be in [0, 1], got 1.5');
  expect(() => median([1, Number.NaN])).toThrow('NaN');
});

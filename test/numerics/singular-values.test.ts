import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { singularValues } from '../../src/numerics/singular-values.ts';
import { expectClose } from '../support/compare.ts';
import { gram, jacobiEigen, product, reflection, transpose } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

describe('singularValues', () => {
  test('known matrices', () => {
    expectClose(singularValues(Float64Array.of(3, 0, 4, 5), 2, 2), [Math.sqrt(45), Math.sqrt(5)], { relative: 1e-15 });
    expectClose(singularValues(Float64Array.of(-3), 1, 1), [3], { relative: 1e-15 });
    expectClose(singularValues(Float64Array.of(3, 4), 1, 2), [5], { relative: 1e-15 });
    expect(singularValues(new Float64Array(6), 2, 3)).toEqual(new Float64Array(2));
    expect(singularValues(new Float64Array(0), 0, 3)).toEqual(new Float64Array(0));
  });

  test.each([2, 5, 80])('ones on and above the diagonal: 2 cos(k pi / (2 n + 1)), n = %d', (n) => {
    const matrix = Float64Array.from({ length: n * n }, (_, i) =>
      [0, 1].includes((i % n) - Math.floor(i / n)) ? 1 : 0,
    );
    const expected = Float64Array.from({ length: n }, (_, k) => 2 * Math.cos(((k + 1) * Math.PI) / (2 * n + 1)));
    // A hundred roundings of the largest, 2.
    expectClose(singularValues(matrix, n, n), expected, { absolute: 4e-14 });
  });

  test.each([
    [6, 6],
    [9, 4],
    [4, 9],
    [31, 30],
    [1, 5],
  ])('squares are the eigenvalues of A^T A for [%d, %d]', (rows, columns) => {
    const matrix = testValues(rows * columns, [-1, 1], rows);
    const kept = matrix.slice();
    const values = singularValues(matrix, rows, columns);
    expect(matrix).toEqual(kept);
    const squares = jacobiEigen(gram(matrix, rows, columns), columns)
      .values.sort()
      .reverse();
    // The largest is below 31; Gram matrix and rotations round a few dozen times.
    expectClose(
      values.map((each) => each ** 2),
      squares.subarray(0, values.length),
      { relative: 1e-13 },
    );
    expectClose(singularValues(transpose(matrix, rows, columns), columns, rows), values, { relative: 1e-14 });
  });

  test('small values keep an error of a few roundings of the largest, where squares would lose half of the digits', () => {
    const n = 12;
    const expected = Float64Array.from({ length: n }, (_, i) => 10 ** -i);
    const [left, right] = [reflection(testValues(n, [-1, 1], 5)), reflection(testValues(n, [-1, 1], 6))];
    const matrix = product(
      left,
      right.map((each, i) => expected[Math.floor(i / n)] * each),
      [n, n, n],
    );
    // The roots of eigenvalues of A^T A would be off by 1e-8 at the lower end.
    expectClose(singularValues(matrix, n, n), expected, { absolute: 5e-15 });
  });

  test('a matrix of rank 1 has one value that is not rounding', () => {
    const u = testValues(40, [-1, 1], 1);
    const v = testValues(25, [-1, 1], 2);
    const values = singularValues(product(u, v, [40, 1, 25]), 40, 25);
    expectClose(values.subarray(0, 1), [Math.hypot(...u) * Math.hypot(...v)], { relative: 1e-14 });
    expect(values[1]).toBeLessThan(1e-14 * values[0]);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  });

  test('nothing overflows or vanishes', () => {
    for (const size of [1e-320, 1e-200, 1e200, 1.5e308]) {
      // Denormal numbers have fewer digits: 1e-320 has 11 bits.
      const relative = size < 1e-300 ? 1e-3 : 1e-15;
      expectClose(singularValues(Float64Array.of(0.3 * size, 0, 0.4 * size, 0), 2, 2), [0.5 * size, 0], { relative });
    }
  });

  test('refuses other sizes and what is not finite', () => {
    expect(() => singularValues(new Float64Array(5), 2, 3)).toThrow(ShapeError);
    expect(() => singularValues(Float64Array.of(1, NaN), 2, 1)).toThrow(UsageError);
    expect(() => singularValues(Float64Array.of(1, -Infinity), 2, 1)).toThrow('an element is -Infinity');
  });
});

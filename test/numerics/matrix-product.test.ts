import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { addProduct, rowMajor, transposed } from '../../src/numerics/matrix-product.ts';
import { expectClose } from '../support/compare.ts';
import { product, transpose } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

describe('addProduct', () => {
  // Below, at and above tiles of 4 and blocks of 64, 256 and 256.
  test.each([
    [1, 1, 1],
    [3, 5, 2],
    [4, 4, 4],
    [65, 257, 259],
    [130, 300, 7],
  ])('is the sum of the definition for [%d, %d] times [%d columns]', (rows, inner, columns) => {
    const a = testValues(rows * inner, [-1, 1], 1);
    const b = testValues(inner * columns, [-1, 1], 2);
    const expected = product(a, b, [rows, inner, columns]);
    // Sums of `inner` products of at most 1, in two orders: each off by at most inner^2 2^-53.
    const absolute = inner ** 2 * 2 ** -52;
    const sizes = { rows, columns, inner };
    const views = [
      [rowMajor(a, inner), rowMajor(b, columns)],
      [transposed(rowMajor(transpose(a, rows, inner), rows)), rowMajor(b, columns)],
      [rowMajor(a, inner), transposed(rowMajor(transpose(b, inner, columns), inner))],
    ] as const;
    for (const [left, right] of views) {
      const c = new Float64Array(rows * columns);
      addProduct({ data: c, stride: columns }, left, right, sizes);
      expectClose(c, expected, { absolute });
    }
  });

  test('adds a multiple to a part of a larger matrix, and leaves the rest', () => {
    const c = new Float64Array(30).fill(1);
    const a = Float32Array.of(9, 1, 2, 3, 4);
    addProduct({ data: c, offset: 7, stride: 6 }, rowMajor(a, 2, 1), rowMajor(a, 2, 1), {
      rows: 2,
      columns: 2,
      inner: 2,
      scale: -2,
    });
    // [1 2; 3 4]^2 = [7 10; 15 22]
    const expected = new Float64Array(30).fill(1);
    expected.set([1 - 14, 1 - 20], 7);
    expected.set([1 - 30, 1 - 44], 13);
    expect(c).toEqual(expected);
  });

  test('equal rows and columns give equal bits wherever they lie', () => {
    const row = testValues(301, [-1, 1]);
    const rows = Float64Array.from({ length: 301 * 71 }, (_, i) => row[i % 301]);
    const c = new Float64Array(71 * 71);
    const sizes = { rows: 71, columns: 71, inner: 301 };
    addProduct({ data: c, stride: 71 }, rowMajor(rows, 301), transposed(rowMajor(rows, 301)), sizes);
    expect(new Set(c).size).toBe(1);
  });

  test('refuses what reaches beyond an array', () => {
    const four = new Float64Array(4);
    const run = (rows: number, c = four) =>
      addProduct({ data: c, stride: 2 }, rowMajor(four, 2), rowMajor(four, 2), { rows, columns: 2, inner: 2 });
    expect(() => run(3)).toThrow(ShapeError);
    expect(() => run(3)).toThrow('a of 3 x 2 elements reaches to element 5, but its array holds 4');
    expect(() => run(2, new Float64Array(3))).toThrow('c of 2 x 2');
  });
});

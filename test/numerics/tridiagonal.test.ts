import { expect, test } from 'vitest';
import { tridiagonalEigenvalues } from '../../src/numerics/tridiagonal.ts';
import { expectClose } from '../support/compare.ts';
import { jacobiEigen } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

/** Sorted eigenvalues; the arguments are kept. */
function eigenvalues(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const values = diagonal.slice();
  tridiagonalEigenvalues(values, beside.slice());
  return values.sort();
}

test.each([1, 2, 3, 100])('a + 2 b cos(k pi / (n + 1)) for a on the diagonal, b beside it, n = %d', (n) => {
  const [a, b] = [0.3, -1.7];
  const values = eigenvalues(new Float64Array(n).fill(a), new Float64Array(Math.max(0, n - 1)).fill(b));
  const expected = Float64Array.from({ length: n }, (_, k) => a + 2 * b * Math.cos(((k + 1) * Math.PI) / (n + 1)));
  // A hundred roundings of the norm, 3.7: 2 x 100 sweeps whose errors of either sign mostly cancel.
  expectClose(values, expected.sort(), { absolute: 8e-14 });
});

/** The whole matrix, row-major. */
function fullMatrix(diagonal: ArrayLike<number>, beside: ArrayLike<number>): Float64Array {
  const n = diagonal.length;
  const full = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    full[i * n + i] = diagonal[i];
    if (i + 1 < n) full[i * n + i + 1] = full[(i + 1) * n + i] = beside[i];
  }
  return full;
}

test('all matrices of the whole numbers up to 2, of 2 to 4 rows', () => {
  const digits = (value: number, base: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => Math.floor(value / base ** i) % base);
  for (const n of [2, 3, 4]) {
    for (let d = 0; d < 3 ** n; d++) {
      for (let e = 0; e < 3 ** (n - 1); e++) {
        const diagonal = Float64Array.from(digits(d, 3, n), (digit) => digit - 1);
        const beside = Float64Array.from(digits(e, 3, n - 1));
        const expected = jacobiEigen(fullMatrix(diagonal, beside), n).values.sort();
        const values = eigenvalues(diagonal, beside);
        // A few roundings of numbers up to 5; plain comparisons, as there are 2,500 matrices.
        if (values.some((each, i) => !(Math.abs(each - expected[i]) < 1e-14))) expect(values).toEqual(expected);
      }
    }
  }
});

test('random matrices have the eigenvalues that Jacobi rotations find, also when blocks are apart', () => {
  for (let seed = 0; seed < 20; seed++) {
    const n = 3 + seed;
    const diagonal = testValues(n, [-2, 2], seed);
    const beside = testValues(n - 1, [-2, 2], seed + 100);
    if (seed % 3 === 0) beside[seed % (n - 1)] = 0;
    if (seed % 4 === 0) diagonal.fill(0);
    // Both methods are off by a few roundings of the norm, at most 6.
    expectClose(eigenvalues(diagonal, beside), jacobiEigen(fullMatrix(diagonal, beside), n).values.sort(), {
      absolute: 1e-13,
    });
  }
});

test('diagonal matrices stay as they are', () => {
  expect(eigenvalues(Float64Array.of(3, -1, 2), new Float64Array(2))).toEqual(Float64Array.of(-1, 2, 3));
  expect(eigenvalues(new Float64Array(4), new Float64Array(3))).toEqual(new Float64Array(4));
});

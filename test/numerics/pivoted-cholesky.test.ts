import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { pivotedCholesky } from '../../src/numerics/pivoted-cholesky.ts';
import { expectClose } from '../support/compare.ts';
import { gram, reflection, withEigenvalues } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

describe('pivotedCholesky', () => {
  // Panels have 64 rows and updates 128: one, exactly one, two and four panels, of full rank and below.
  test.each([
    [1, 1],
    [5, 5],
    [64, 64],
    [70, 66],
    [200, 200],
    [200, 67],
    [130, 3],
  ])('n = %d, rank %d: F^T F is the matrix, and F has as many rows as the rank', (n, rank) => {
    const matrix = gram(testValues(rank * n, [-1, 1], n + rank), rank, n);
    const { factor, rank: found } = pivotedCholesky(matrix, n);
    expect(found).toBe(rank);
    expect(factor).toHaveLength(rank * n);
    // Higham 2002, Theorem 10.14: an error of about n 2^-53 of the largest element for each row of the factor.
    expectClose(gram(factor, rank, n), matrix, { relative: n * rank * 2 ** -53 });
  });

  test('only the part right of the diagonal is read, and the matrix is kept', () => {
    const matrix = Float64Array.of(4, 2, NaN, 5);
    expect(pivotedCholesky(matrix, 2).rank).toBe(2);
    expectClose(gram(pivotedCholesky(matrix, 2).factor, 2, 2), [4, 2, 2, 5], { relative: 1e-15 });
    expect(matrix).toEqual(Float64Array.of(4, 2, NaN, 5));
  });

  test('directions without variance contribute nothing: zeros, copies, and a matrix of nothing', () => {
    // Dimension 1 is 0, dimension 3 a copy of 0.
    const matrix = Float64Array.of(2, 0, 1, 2, 0, 0, 0, 0, 1, 0, 3, 1, 2, 0, 1, 2);
    const { factor, rank } = pivotedCholesky(matrix, 4);
    expect(rank).toBe(2);
    for (let row = 0; row < 2; row++) {
      expect(factor[row * 4 + 1]).toBe(0);
      expect(factor[row * 4 + 3]).toBe(factor[row * 4]);
    }
    expect(pivotedCholesky(new Float64Array(9), 3)).toEqual({ factor: new Float64Array(0), rank: 0 });
  });

  test('a matrix with rounding in its null space has the rank of what is above it', () => {
    const n = 50;
    const values = Float64Array.from({ length: n }, (_, i) => (i < 20 ? 1 + i : 0));
    const matrix = withEigenvalues(values, reflection(testValues(n, [-1, 1], 3)));
    const { rank, factor } = pivotedCholesky(matrix, n);
    // The products left noise of 1e-15 where the eigenvalues are 0; a row or two of it may pass as rank.
    expect(rank).toBeGreaterThanOrEqual(20);
    expect(rank).toBeLessThan(n);
    expectClose(gram(factor, rank, n), matrix, { relative: 1e-13 });
  });

  test('refuses what is no covariance', () => {
    expect(() => pivotedCholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow(UsageError);
    expect(() => pivotedCholesky(Float64Array.of(1, 0, 0, -1), 2)).toThrow('is not positive semi-definite');
    expect(() => pivotedCholesky(Float64Array.of(1, Infinity, 0, 1), 2)).toThrow(
      'element (0, 1) must be a finite number, got Infinity',
    );
    expect(() => pivotedCholesky(new Float64Array(5), 2)).toThrow(ShapeError);
    expect(() => pivotedCholesky(new Float64Array(0), 0)).toThrow('at least one');
  });
});

/** Linear algebra written for clearness, as an oracle for the fast one. Matrices are row-major. */

/** A B for A [rows, inner] and B [inner, columns], by the definition. */
export function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  [rows, inner, columns]: readonly [number, number, number],
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let k = 0; k < inner; k++) out[i * columns + j] += a[i * inner + k] * b[k * columns + j];
    }
  }
  return out;
}

/** The transpose of A [rows, columns]. */
export const transpose = (a: ArrayLike<number>, rows: number, columns: number): Float64Array =>
  Float64Array.from({ length: rows * columns }, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)]);

/** A^T A for A [rows, columns]. */
export const gram = (a: ArrayLike<number>, rows: number, columns: number): Float64Array =>
  product(transpose(a, rows, columns), a, [columns, rows, columns]);

/** The matrix with these values on its diagonal. */
export const diagonalMatrix = (values: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: values.length ** 2 }, (_, i) =>
    i % (values.length + 1) === 0 ? values[i / (values.length + 1)] : 0,
  );

/** The reflection I - 2 u u^T / u^T u, an orthogonal and symmetric matrix. */
export function reflection(u: ArrayLike<number>): Float64Array {
  const n = u.length;
  const square = Array.from(u).reduce((sum, each) => sum + each * each, 0);
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return (i === j ? 1 : 0) - (2 * u[i] * u[j]) / square;
  });
}

/** Q diag(values) Q^T for an orthogonal Q [n, n]. */
export function withEigenvalues(values: ArrayLike<number>, q: ArrayLike<number>): Float64Array {
  const n = values.length;
  const left = product(q, diagonalMatrix(values), [n, n, n]);
  return product(left, transpose(q, n, n), [n, n, n]);
}

/**
 * Eigenvalues, in no order, and eigenvectors as columns of a symmetric matrix by Jacobi's rotations, which share nothing
 * with reflections and QL steps: each makes one element 0, and sweeps are repeated until all are.
 */
export function jacobiEigen(matrix: ArrayLike<number>, n: number): { values: Float64Array; vectors: Float64Array } {
  const a = Float64Array.from(matrix);
  const vectors = diagonalMatrix(new Float64Array(n).fill(1));
  const rotate = (of: Float64Array, i: number, j: number, c: number, s: number): void => {
    [of[i], of[j]] = [c * of[i] - s * of[j], s * of[i] + c * of[j]];
  };
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p * n + q] === 0) continue;
        const theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, c, t * c);
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, c, t * c);
        for (let k = 0; k < n; k++) rotate(vectors, k * n + p, k * n + q, c, t * c);
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]), vectors };
}

import { ShapeError, UsageError } from '../errors.ts';
import { tridiagonalEigenvalues } from './tridiagonal.ts';

/**
 * Singular values, largest first: Householder reflections from both sides make the matrix bidiagonal (Golub and Kahan
 * 1965), and the bidiagonal B with elements d_i and e_i has the singular values that are the positive half of the
 * eigenvalues of the tridiagonal matrix with a zero diagonal and d_1, e_1, d_2, e_2, ... beside it (Golub and Van Loan
 * 2013, Sec. 8.6). Nothing is squared, so small values keep an error of a few roundings of the largest one.
 *
 * @param matrix  [rows, columns], row-major; left unchanged
 * @returns       [min(rows, columns)], none negative
 * @throws ShapeError when `matrix` does not have rows * columns elements
 * @throws UsageError when an element is not finite
 * Cost: 4 m n^2 - 4/3 n^3 operations for the larger extent m and the smaller n; memory 8 m n bytes. The matrix is read
 * twice and written once for each column: the traffic to memory is the limit where it does not fit into the cache.
 */
export function singularValues(matrix: Float64Array, rows: number, columns: number): Float64Array {
  if (matrix.length !== rows * columns)
    throw new ShapeError(`singularValues: matrix must have ${rows} x ${columns} elements, got ${matrix.length}`);
  if (matrix.length === 0) return new Float64Array(0);
  let largest = 0;
  for (const each of matrix) {
    const size = Math.abs(each);
    if (!(size < Infinity)) throw new UsageError(`singularValues: an element is ${each}, all must be finite`);
    if (size > largest) largest = size;
  }
  const n = Math.min(rows, columns);
  if (largest === 0) return new Float64Array(n);
  // Between 0.5 and 1, so that no square overflows or vanishes; a power of two rounds nothing.
  const scale = 2 ** -Math.max(-1000, Math.min(1000, Math.ceil(Math.log2(largest))));
  const tall = rows >= columns ? matrix.map((each) => each * scale) : transposedCopy(matrix, rows, columns, scale);
  const beside = bidiagonalize(tall, Math.max(rows, columns), n);
  const values = new Float64Array(2 * n);
  tridiagonalEigenvalues(values, beside);
  values.sort().reverse();
  return values.subarray(0, n).map((each) => Math.max(0, each) / scale);
}

function transposedCopy(matrix: Float64Array, rows: number, columns: number, scale: number): Float64Array {
  const out = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j] * scale;
  return out;
}

/**
 * Reduces a [m, n], m >= n, which is destroyed, to bidiagonal form, and returns d_1, e_1, d_2, ..., d_n.
 *
 * After step k the matrix is A - v y^T - x w^T. That update is not made at once, but together with the product of the
 * next step, so that a step passes over the matrix twice and not four times.
 */
function bidiagonalize(a: Float64Array, m: number, n: number): Float64Array {
  const result = new Float64Array(2 * n - 1);
  let v = new Float64Array(m);
  let nextV = new Float64Array(m);
  const x = new Float64Array(m);
  let y = new Float64Array(n);
  let nextY = new Float64Array(n);
  let w = new Float64Array(n);
  let nextW = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    for (let i = k; i < m; i++) nextV[i] = a[i * n + k] - v[i] * y[k] - x[i] * w[k];
    const column = reflect(nextV, k, m);
    result[2 * k] = column.length;

    nextY.fill(0);
    updateAndSum(a, k, m, n, { v, y, x, w }, nextV, nextY);
    for (let j = k + 1; j < n; j++) nextY[j] *= column.scale;

    if (k + 1 < n) {
      for (let j = k + 1; j < n; j++) nextW[j] = a[k * n + j] - nextY[j];
      const row = reflect(nextW, k + 1, n);
      result[2 * k + 1] = row.length;
      let overlap = 0;
      for (let j = k + 1; j < n; j++) overlap += nextY[j] * nextW[j];
      multiply(a, k, m, n, nextW, x);
      for (let i = k + 1; i < m; i++) x[i] = row.scale * (x[i] - nextV[i] * overlap);
    }
    [v, nextV] = [nextV, v];
    [y, nextY] = [nextY, y];
    [w, nextW] = [nextW, w];
  }
  return result;
}

/**
 * The reflection I - scale u u^T that leaves of the elements `from` .. `to` only the first one; they are replaced by u,
 * whose first element is 1.
 */
function reflect(values: Float64Array, from: number, to: number): { length: number; scale: number } {
  let rest = 0;
  for (let i = from + 1; i < to; i++) rest += values[i] * values[i];
  const first = values[from];
  values[from] = 1;
  if (rest === 0) return { length: first, scale: 0 };
  const length = -Math.sign(first || 1) * Math.sqrt(first * first + rest);
  const divisor = 1 / (first - length);
  for (let i = from + 1; i < to; i++) values[i] *= divisor;
  return { length, scale: (length - first) / length };
}

interface Pending {
  readonly v: Float64Array;
  readonly y: Float64Array;
  readonly x: Float64Array;
  readonly w: Float64Array;
}

/** A -= v y^T + x w^T in rows k .. m and columns k + 1 .. n, and sum += A^T u of the result; two rows at a time. */
function updateAndSum(
  a: Float64Array,
  k: number,
  m: number,
  n: number,
  { v, y, x, w }: Pending,
  u: Float64Array,
  sum: Float64Array,
): void {
  let i = k;
  for (; i + 1 < m; i += 2)
    updatePair(a, i * n, (i + 1) * n, k + 1, n, v[i], x[i], u[i], v[i + 1], x[i + 1], u[i + 1], y, w, sum);
  // The last row alone, as the pair of itself and of nothing.
  if (i < m) {
    for (let j = k + 1; j < n; j++) {
      const each = a[i * n + j] - v[i] * y[j] - x[i] * w[j];
      a[i * n + j] = each;
      sum[j] += u[i] * each;
    }
  }
}

function updatePair(
  a: Float64Array,
  upper: number,
  lower: number,
  from: number,
  to: number,
  v0: number,
  x0: number,
  u0: number,
  v1: number,
  x1: number,
  u1: number,
  y: Float64Array,
  w: Float64Array,
  sum: Float64Array,
): void {
  for (let j = from; j < to; j++) {
    const yj = y[j];
    const wj = w[j];
    const first = a[upper + j] - v0 * yj - x0 * wj;
    const second = a[lower + j] - v1 * yj - x1 * wj;
    a[upper + j] = first;
    a[lower + j] = second;
    sum[j] += u0 * first + u1 * second;
  }
}

/** out = A w in rows k + 1 .. m and columns k + 1 .. n; two rows and two columns at a time. */
function multiply(a: Float64Array, k: number, m: number, n: number, w: Float64Array, out: Float64Array): void {
  for (let i = k + 1; i < m; i += 2) {
    const upper = i * n;
    const lower = i + 1 < m ? upper + n : upper;
    let [s0, s1, t0, t1] = [0, 0, 0, 0];
    let j = k + 1;
    for (; j + 1 < n; j += 2) {
      const w0 = w[j];
      const w1 = w[j + 1];
      s0 += a[upper + j] * w0;
      s1 += a[upper + j + 1] * w1;
      t0 += a[lower + j] * w0;
      t1 += a[lower + j + 1] * w1;
    }
    if (j < n) {
      s0 += a[upper + j] * w[j];
      t0 += a[lower + j] * w[j];
    }
    out[i] = s0 + s1;
    if (i + 1 < m) out[i + 1] = t0 + t1;
  }
}

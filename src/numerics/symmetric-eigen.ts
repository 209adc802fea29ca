import { ShapeError, UsageError } from '../errors.ts';
import { tridiagonalEigenvalues } from './tridiagonal.ts';

export interface SymmetricEigen {
  /** Smallest first. [n] */
  readonly values: Float64Array;
  /** Row i is the eigenvector of value i, of length 1. [n, n] */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues and eigenvectors of a real symmetric matrix, A = V^T diag(values) V with the vectors as rows of V, by
 * Householder reflections to tridiagonal form and implicit QL steps (Golub and Van Loan 2013, Sec. 8.3). The values are
 * real whatever the rounding, and off by a few roundings of the largest.
 *
 * @param matrix [n, n], symmetric; left unchanged
 * @throws ShapeError when `matrix` does not have n * n elements
 * @throws UsageError when an element is not finite, or differs from its mirror image by more than rounding
 * Cost: about 14 n^3 operations, most of them for the vectors.
 */
export function symmetricEigen(matrix: Float64Array, n: number): SymmetricEigen {
  const { diagonal, beside, reflections, scales } = tridiagonalize(matrix, n);
  const basis = orthogonalBasis(reflections, scales, n);
  tridiagonalEigenvalues(diagonal, beside, basis);
  const order = Array.from(diagonal.keys()).sort((i, j) => diagonal[i] - diagonal[j]);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(basis.subarray(from * n, (from + 1) * n), to * n));
  return { values: diagonal.slice().sort(), vectors };
}

/**
 * The eigenvalues alone, smallest first; arguments and errors as for `symmetricEigen`. Cost: 8/3 n^3 operations.
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonalize(matrix, n);
  tridiagonalEigenvalues(diagonal, beside);
  return diagonal.sort();
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  readonly beside: Float64Array;
  /** Row k holds the vector u of the reflection I - scale u u^T of step k, from element k + 1 on. */
  readonly reflections: Float64Array;
  readonly scales: Float64Array;
}

/** T = Q^T A Q, Q the product of the reflections. The update of a step is made together with the next step's product. */
function tridiagonalize(matrix: Float64Array, n: number): Tridiagonal {
  requireSymmetric(matrix, n);
  const a = matrix.slice();
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(Math.max(0, n - 1));
  const scales = new Float64Array(n);
  const reflections = new Float64Array(n * n);
  let u = new Float64Array(n);
  let w = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    // After step k - 1 the matrix is A - u w^T - w u^T.
    const next = reflections.subarray(k * n, (k + 1) * n);
    for (let i = k; i < n; i++) next[i] = a[i * n + k] - u[i] * w[k] - w[i] * u[k];
    diagonal[k] = next[k];
    next[k] = 0;
    if (k === n - 1) break;
    let rest = 0;
    for (let i = k + 2; i < n; i++) rest += next[i] * next[i];
    const first = next[k + 1];
    const length = rest === 0 ? first : -Math.sign(first || 1) * Math.sqrt(first * first + rest);
    beside[k] = length;
    const scale = rest === 0 ? 0 : (length - first) / length;
    scales[k] = scale;
    next[k + 1] = 1;
    for (let i = k + 2; i < n; i++) next[i] = rest === 0 ? 0 : next[i] / (first - length);

    const p = new Float64Array(n);
    for (let i = k + 1; i < n; i++) p[i] = scale * updateRow(a, i * n, k + 1, n, u[i], w[i], u, w, next);
    let overlap = 0;
    for (let i = k + 1; i < n; i++) overlap += p[i] * next[i];
    for (let i = k + 1; i < n; i++) p[i] -= (scale / 2) * overlap * next[i];
    u = next;
    w = p;
  }
  return { diagonal, beside, reflections, scales };
}

/** row -= u_i w + w_i u, and the product of the new row with `next`. */
function updateRow(
  a: Float64Array,
  row: number,
  from: number,
  n: number,
  ui: number,
  wi: number,
  u: Float64Array,
  w: Float64Array,
  next: Float64Array,
): number {
  let sum = 0;
  for (let j = from; j < n; j++) {
    const each = a[row + j] - ui * w[j] - wi * u[j];
    a[row + j] = each;
    sum += each * next[j];
  }
  return sum;
}

/** Q^T, from the last reflection to the first, so that each touches only what is no longer the unit matrix. */
function orthogonalBasis(reflections: Float64Array, scales: Float64Array, n: number): Float64Array {
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  for (let k = n - 2; k >= 0; k--) {
    if (scales[k] === 0) continue;
    const u = reflections.subarray(k * n, (k + 1) * n);
    // Q^T is built transposed to Q = H_0 H_1 ...: each row is reflected.
    for (let row = k + 1; row < n; row++) {
      let product = 0;
      for (let j = k + 1; j < n; j++) product += basis[row * n + j] * u[j];
      product *= scales[k];
      for (let j = k + 1; j < n; j++) basis[row * n + j] -= product * u[j];
    }
  }
  return basis;
}

function requireSymmetric(matrix: Float64Array, n: number): void {
  if (matrix.length !== n * n || n < 1)
    throw new ShapeError(`symmetricEigen: matrix must have ${n} x ${n} elements, at least one, got ${matrix.length}`);
  let largest = 0;
  for (const each of matrix) {
    const size = Math.abs(each);
    if (!(size < Infinity)) throw new UsageError(`symmetricEigen: an element is ${each}, all must be finite`);
    if (size > largest) largest = size;
  }
  const allowed = n * 2 ** -40 * largest;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [lower, upper] = [matrix[i * n + j], matrix[j * n + i]];
      if (Math.abs(lower - upper) > allowed) {
        throw new UsageError(
          `symmetricEigen: the matrix is not symmetric: element (${i}, ${j}) is ${lower}, (${j}, ${i}) is ${upper}`,
        );
      }
    }
  }
}

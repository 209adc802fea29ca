import { ShapeError, UsageError } from '../errors.ts';
import { addProduct, rowMajor, transposed } from './matrix-product.ts';

/** Rows of the factor between two updates of what remains of the matrix. */
const panelRows = 64;
/** Rows of what remains that are updated together; the part left of the diagonal is not needed. */
const updateRows = 128;
/** What may be left of a matrix that is not positive semi-definite, as a share of its largest diagonal element. */
const mostNoise = 1e-3;

/** A = F^T F with as few rows as the matrix has rank. */
export interface CholeskyFactor {
  /** [rank, n], row-major, columns in the order of A */
  readonly factor: Float64Array;
  /** Rows of the factor. */
  readonly rank: number;
}

/**
 * Factor of a symmetric positive semi-definite matrix, A = F^T F, by Cholesky's method with diagonal pivoting (Higham
 * 2002, Sec. 10.3; Lucas 2004 for the blocks). It stops at the numerical rank: when the largest diagonal element left is
 * below 2 n 2^-52 of the largest at the start, or when what is left is no longer positive semi-definite, which is
 * rounding in the matrix itself. Directions in which a rank-deficient matrix is 0 so contribute exactly nothing.
 *
 * @param matrix [n, n], symmetric; only j >= i is read
 * @param n      rows
 * @throws ShapeError when `matrix` does not have n * n elements
 * @throws UsageError when the matrix is not positive semi-definite by more than rounding, or not finite
 * Cost: n rank^2 operations, n^3 / 3 at full rank; memory 16 n^2 bytes.
 */
export function pivotedCholesky(matrix: Float64Array, n: number): CholeskyFactor {
  if (matrix.length !== n * n || n < 1)
    throw new ShapeError(`pivotedCholesky: matrix must have ${n} x ${n} elements, at least one, got ${matrix.length}`);
  const rest = matrix.slice();
  const diagonal = new Float64Array(n);
  let largest = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      if (!Number.isFinite(rest[i * n + j]))
        throw new UsageError(`pivotedCholesky: element (${i}, ${j}) must be a finite number, got ${rest[i * n + j]}`);
    }
    diagonal[i] = rest[i * n + i];
    largest = Math.max(largest, Math.abs(diagonal[i]));
  }
  const negligible = 2 * n * 2 ** -52 * largest;
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const factor = new Float64Array(n * n);
  const work: Work = { n, rest, diagonal, order, factor, negligible };

  let rank = 0;
  for (let from = 0; from < n; from = rank) {
    const to = Math.min(from + panelRows, n);
    while (rank < to && addRow(work, from, rank)) rank++;
    if (rank < to) break;
    updateRest(work, from, to);
  }
  requireNoise(work, rank, largest);
  return { factor: inOrder(factor, order, rank, n), rank };
}

interface Work {
  readonly n: number;
  /** Upper half of what remains, rows and columns exchanged as pivoting wants. */
  readonly rest: Float64Array;
  /** Diagonal of what remains, always up to date. */
  readonly diagonal: Float64Array;
  readonly order: Uint32Array;
  readonly factor: Float64Array;
  readonly negligible: number;
}

/** Row k of the factor, with the panel's rows from `from` on not yet taken off `rest`. False when nothing is left. */
function addRow(work: Work, from: number, k: number): boolean {
  const { n, rest, diagonal, factor, negligible } = work;
  let pivot = k;
  for (let i = k + 1; i < n; i++) if (diagonal[i] > diagonal[pivot]) pivot = i;
  const square = diagonal[pivot];
  if (!(square > negligible)) return false;
  exchange(work, k, pivot);
  const row = factor.subarray(k * n, (k + 1) * n);
  row.set(rest.subarray(k * n + k + 1, (k + 1) * n), k + 1);
  for (let t = from; t < k; t++) {
    const weight = factor[t * n + k];
    for (let j = k + 1, i = t * n + j; j < n; j++, i++) row[j] -= weight * factor[i];
  }
  // |r_kj|^2 <= r_kk r_jj <= r_kk^2 where what remains is positive semi-definite.
  for (let j = k + 1; j < n; j++) {
    if (!(Math.abs(row[j]) <= 2 * square)) {
      row.fill(0);
      return false;
    }
  }
  const root = Math.sqrt(square);
  row[k] = root;
  for (let j = k + 1; j < n; j++) {
    row[j] /= root;
    diagonal[j] -= row[j] * row[j];
  }
  return true;
}

/** Exchanges rows and columns k and q > k of what remains, and the columns of the factor. */
function exchange({ n, rest, diagonal, order, factor }: Work, k: number, q: number): void {
  if (k === q) return;
  const swap = (values: Float64Array | Uint32Array, i: number, j: number): void => {
    const kept = values[i];
    values[i] = values[j];
    values[j] = kept;
  };
  swap(diagonal, k, q);
  swap(order, k, q);
  for (let i = k + 1; i < q; i++) swap(rest, k * n + i, i * n + q);
  for (let j = q + 1; j < n; j++) swap(rest, k * n + j, q * n + j);
  for (let row = 0; row < k; row++) swap(factor, row * n + k, row * n + q);
}

/** Takes the rows from .. to of the factor off the upper half of what remains. */
function updateRest({ n, rest, factor }: Work, from: number, to: number): void {
  for (let i = to; i < n; i += updateRows) {
    const rows = Math.min(updateRows, n - i);
    const left = transposed(rowMajor(factor, n, from * n + i));
    addProduct({ data: rest, offset: i * n + i, stride: n }, left, rowMajor(factor, n, from * n + i), {
      rows,
      columns: n - i,
      inner: to - from,
      scale: -1,
    });
  }
}

/** @throws UsageError when what is left after `rank` rows is more than rounding */
function requireNoise({ n, diagonal, order }: Work, rank: number, largest: number): void {
  for (let i = rank; i < n; i++) {
    if (Math.abs(diagonal[i]) > mostNoise * largest) {
      throw new UsageError(
        `pivotedCholesky: the matrix is not positive semi-definite: after ${rank} rows the diagonal element ` +
          `${order[i]} is ${diagonal[i]}, the largest of the matrix ${largest}. Is it a covariance?`,
      );
    }
  }
}

/** The first `rank` rows with the columns back in the order of the matrix. */
function inOrder(factor: Float64Array, order: Uint32Array, rank: number, n: number): Float64Array {
  const out = new Float64Array(rank * n);
  for (let row = 0; row < rank; row++) {
    for (let j = row; j < n; j++) out[row * n + order[j]] = factor[row * n + j];
  }
  return out;
}

import { StfError } from '../errors.ts';

/** Sweeps that one eigenvalue may take; two are usual. */
const maximumSweeps = 60;

/**
 * Eigenvalues of a symmetric tridiagonal matrix by implicit QL steps with Wilkinson's shift (Golub and Van Loan 2013,
 * Sec. 8.3; Dubrulle, Martin and Wilkinson 1968). An off-diagonal element below 2^-53 of the largest row counts as 0, so
 * the error of every eigenvalue is a few roundings of the largest. Cost: about 3 n^2 operations of 10 flops.
 *
 * @param diagonal [n], becomes the eigenvalues, in no particular order
 * @param off      [n - 1] or longer, element i couples i and i + 1; destroyed
 * @param vectors  [n, n], rows; every rotation is applied to its rows. Rows of the matrix that made the original
 *                 tridiagonal, Q^T with A = Q T Q^T, become the eigenvectors, each a row. Leave it out for values alone.
 * @throws StfError when the steps do not converge, which no finite matrix is known to do
 */
export function tridiagonalEigenvalues(diagonal: Float64Array, off: Float64Array, vectors?: Float64Array): void {
  const n = diagonal.length;
  let norm = 0;
  for (let i = 0; i < n; i++) {
    const row = Math.abs(diagonal[i]) + (i > 0 ? Math.abs(off[i - 1]) : 0) + (i < n - 1 ? Math.abs(off[i]) : 0);
    norm = Math.max(norm, row);
  }
  const negligible = norm * 2 ** -53;
  for (let l = 0; l < n; l++) {
    for (let sweep = 0; ; sweep++) {
      let m = l;
      while (m < n - 1 && Math.abs(off[m]) > negligible) m++;
      if (m === l) break;
      if (sweep === maximumSweeps)
        throw new StfError(`tridiagonalEigenvalues: no convergence after ${maximumSweeps} sweeps for eigenvalue ${l}`);
      qlSweep(diagonal, off, l, m, vectors);
    }
  }
}

/** One implicit QL step on the unreduced block l .. m. */
function qlSweep(d: Float64Array, e: Float64Array, l: number, m: number, vectors?: Float64Array): void {
  const n = d.length;
  const half = (d[l + 1] - d[l]) / (2 * e[l]);
  const root = Math.sqrt(half * half + 1);
  let g = d[m] - d[l] + e[l] / (half + (half >= 0 ? root : -root));
  let sine = 1;
  let cosine = 1;
  let shift = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = sine * e[i];
    const b = cosine * e[i];
    const r = Math.sqrt(f * f + g * g);
    if (i + 1 < m) e[i + 1] = r;
    if (r === 0) {
      // The block has split by itself.
      d[i + 1] -= shift;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1] - shift;
    const next = (d[i] - g) * sine + 2 * cosine * b;
    shift = sine * next;
    d[i + 1] = g + shift;
    g = cosine * next - b;
    if (vectors) rotateRows(vectors, n, i, sine, cosine);
  }
  d[l] -= shift;
  e[l] = g;
}

/** Rows i and i + 1 of [n, n] become (cosine row_i - sine row_i+1, sine row_i + cosine row_i+1). */
function rotateRows(rows: Float64Array, n: number, i: number, sine: number, cosine: number): void {
  for (let j = i * n, k = j + n, end = k; j < end; j++, k++) {
    const upper = rows[j];
    const lower = rows[k];
    rows[j] = cosine * upper - sine * lower;
    rows[k] = sine * upper + cosine * lower;
  }
}

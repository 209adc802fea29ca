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
 * @throws StfError when the steps do not converge, which no finite matrix is known to do
 */
export function tridiagonalEigenvalues(diagonal: Float64Array, off: Float64Array): void {
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
      qlSweep(diagonal, off, l, m);
    }
  }
}

/** One implicit QL step on the unreduced block l .. m. */
function qlSweep(d: Float64Array, e: Float64Array, l: number, m: number): void {
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
  }
  d[l] -= shift;
  e[l] = g;
}

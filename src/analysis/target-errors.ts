import { ShapeError } from '../errors.ts';
import { mean, standardError } from '../numerics/statistics.ts';

/** How a random target behaves at one noisy sample, over independent draws of it. */
export interface TargetErrors {
  /** Trace of its covariance, unbiased: divisor draws - 1. */
  readonly trace: number;
  readonly traceError: number;
  /** |mean - exact|, which has the Monte-Carlo error √(trace / draws) in it. */
  readonly biasNorm: number;
  /** The same squared without it, biasNorm² - trace / draws: unbiased for the squared bias, and may be negative. */
  readonly biasSquared: number;
  /** Jackknife standard error of it. */
  readonly biasSquaredError: number;
  /** Mean squared distance from the exact target. */
  readonly meanSquare: number;
  readonly meanSquareError: number;
}

/**
 * Trace of covariance, bias and mean square of draws of a target [draws, d] about the exact one [d]. Squared distances are
 * sums over elements.
 *
 * @throws ShapeError for fewer than three draws, or values that do not fit
 */
export function targetErrors(targets: Float32Array | Float64Array, exact: ArrayLike<number>): TargetErrors {
  const dimension = exact.length;
  const draws = targets.length / dimension;
  if (!Number.isInteger(draws) || draws < 3)
    throw new ShapeError(`targetErrors: needs 3 or more draws of ${dimension} values, got ${targets.length} values.`);
  const sum = new Float64Array(dimension);
  const squares = new Float64Array(draws);
  for (let b = 0; b < draws; b++) {
    for (let i = 0; i < dimension; i++) {
      const off = targets[b * dimension + i] - exact[i];
      sum[i] += off;
      squares[b] += off * off;
    }
  }
  const sumSquare = sum.reduce((total, each) => total + each * each, 0);
  const about = new Float64Array(draws);
  const along = new Float64Array(draws);
  for (let b = 0; b < draws; b++) {
    for (let i = 0; i < dimension; i++) {
      const off = targets[b * dimension + i] - exact[i];
      about[b] += (off - sum[i] / draws) ** 2;
      along[b] += off * sum[i];
    }
  }
  const total = squares.reduce((a, b) => a + b, 0);
  // The squared bias as a U-statistic, Σ_{b≠c} D_b·D_c over the number of pairs; with one draw left out likewise.
  const pairs = (inner: number, own: number, count: number): number => (inner - own) / (count * (count - 1));
  const without = Float64Array.from({ length: draws }, (_, b) =>
    pairs(sumSquare - 2 * along[b] + squares[b], total - squares[b], draws - 1),
  );
  const trace = about.reduce((a, b) => a + b, 0) / (draws - 1);
  return {
    trace,
    // The trace is the mean of these values, each draws / (draws - 1) times its squared distance.
    traceError: (standardError(about) * draws) / (draws - 1),
    biasNorm: Math.sqrt(sumSquare) / draws,
    biasSquared: pairs(sumSquare, total, draws),
    biasSquaredError: (draws - 1) * standardError(without),
    meanSquare: mean(squares),
    meanSquareError: standardError(squares),
  };
}

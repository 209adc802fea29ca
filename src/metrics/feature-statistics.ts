import { ShapeError, UsageError } from '../errors.ts';
import { addProduct, rowMajor, transposed } from '../numerics/matrix-product.ts';
import { requireFeatures } from './features.ts';
import type { Features } from './features.ts';

/** Rows that are taken into the sums together. */
const blockRows = 256;
/** Rows of the covariance whose half right of the diagonal is computed together. */
const stripe = 128;

/** What the Fréchet distance needs to know about a set of features. */
export interface FeatureStatistics {
  /** Feature vectors. */
  readonly n: number;
  /** Mean. [d] */
  readonly mu: Float64Array;
  /** Covariance with the divisor n - 1, symmetric. [d, d] */
  readonly sigma: Float64Array;
}

/** Collects features and keeps only their count, mean and covariance. */
export interface FeatureAccumulator {
  readonly dimension: number;
  /** Rows so far. */
  readonly n: number;
  /**
   * Takes rows [N, d]; they may be reused afterwards. In which portions rows arrive does not change a bit of the result.
   *
   * @throws ShapeError     when these are not whole rows
   * @throws NonFiniteError when a value is NaN or infinite; none of the rows is taken then
   */
  add(features: Features): void;
  /**
   * Takes over what another accumulator has seen, which is not changed. For shards: the result depends on the order of
   * merging by rounding alone, so merge them in a fixed order.
   *
   * @throws ShapeError for another dimension
   */
  merge(other: FeatureAccumulator): void;
  /** @throws UsageError for fewer than two rows, where there is no covariance */
  statistics(): FeatureStatistics;
  /** Count, mean and the sum of products of differences from the mean. */
  moments(): FeatureMoments;
}

export interface FeatureMoments {
  readonly n: number;
  readonly mean: Float64Array;
  /** Sum of (f - mean)(f - mean)^T; its upper half. [d, d] */
  readonly scatter: Float64Array;
}

/**
 * Mean and covariance of a stream of features in float64. Every 256 rows are centred on their own mean and merged with
 * what came before (Chan, Golub and LeVeque 1979, eq. 2.1), so that no large squares cancel:
 *   scatter = scatter_A + scatter_B + n_A n_B / (n_A + n_B) delta delta^T,   delta = mean_B - mean_A.
 *
 * @param dimension values of a feature vector, d
 * @throws UsageError for a dimension below 1
 * Cost: d^2 multiplications a row; memory 8 (d^2 + 512 d) bytes, 40 MiB for d = 2048.
 */
export function featureAccumulator(dimension: number): FeatureAccumulator {
  if (!Number.isInteger(dimension) || dimension < 1)
    throw new UsageError(`featureAccumulator: dimension must be a whole number of at least 1, got ${dimension}`);
  const d = dimension;
  const sums: Sums = { n: 0, mean: new Float64Array(d), scatter: new Float64Array(d * d) };
  const block = new Float64Array(blockRows * d);
  let waiting = 0;
  const takeBlock = (into: Sums): void => takeRows(into, block.subarray(0, waiting * d));

  const accumulator: FeatureAccumulator = {
    dimension,
    get n() {
      return sums.n + waiting;
    },
    add(features) {
      requireFeatures('featureAccumulator: features', features, d, 0);
      for (let from = 0; from < features.length;) {
        const count = Math.min(features.length - from, (blockRows - waiting) * d);
        block.set(features.subarray(from, from + count), waiting * d);
        waiting += count / d;
        from += count;
        if (waiting === blockRows) {
          takeBlock(sums);
          waiting = 0;
        }
      }
    },
    merge(other) {
      if (other.dimension !== d) {
        throw new ShapeError(
          `featureAccumulator: features of ${other.dimension} values cannot be merged with those of ${d}`,
        );
      }
      const theirs = other.moments();
      takeBlock(sums);
      waiting = 0;
      mergeMoments(sums, theirs.n, theirs.mean, () => {
        for (let i = 0; i < d * d; i++) sums.scatter[i] += theirs.scatter[i];
      });
    },
    moments() {
      // The waiting rows keep waiting: a look at the sums must not change what comes of them.
      const copy: Sums = { n: sums.n, mean: sums.mean.slice(), scatter: sums.scatter.slice() };
      takeBlock(copy);
      return copy;
    },
    statistics() {
      const { n, mean, scatter } = accumulator.moments();
      if (n < 2) throw new UsageError(`featureAccumulator: a covariance needs at least 2 feature vectors, got ${n}`);
      for (let i = 0; i < d; i++) {
        for (let j = i; j < d; j++) {
          const each = scatter[i * d + j] / (n - 1);
          scatter[i * d + j] = each;
          scatter[j * d + i] = each;
        }
      }
      return { n, mu: mean, sigma: scatter };
    },
  };
  return accumulator;
}

/**
 * Mean and covariance of features that are all there, see `featureAccumulator`.
 *
 * @param features  [N, d], N >= 2
 * @throws UsageError for fewer than two rows; other errors as `featureAccumulator`
 */
export function featureStatistics(features: Features, dimension: number): FeatureStatistics {
  const accumulator = featureAccumulator(dimension);
  accumulator.add(features);
  return accumulator.statistics();
}

interface Sums {
  n: number;
  readonly mean: Float64Array;
  readonly scatter: Float64Array;
}

/** Chan, Golub and LeVeque's update by the moments of other rows; `addScatter` adds their scatter. */
function mergeMoments(sums: Sums, n: number, mean: Float64Array, addScatter: () => void): void {
  if (n === 0) return;
  const d = mean.length;
  const total = sums.n + n;
  const delta = mean.map((each, i) => each - sums.mean[i]);
  addScatter();
  if (sums.n > 0) {
    const weight = (sums.n * n) / total;
    for (let i = 0; i < d; i++) {
      const scaled = weight * delta[i];
      for (let j = i; j < d; j++) sums.scatter[i * d + j] += scaled * delta[j];
    }
  }
  for (let i = 0; i < d; i++) sums.mean[i] += (n / total) * delta[i];
  sums.n = total;
}

/** Merges rows [m, d] of one block, centred on their own mean. */
function takeRows(sums: Sums, rows: Float64Array): void {
  const d = sums.mean.length;
  const count = rows.length / d;
  const mean = new Float64Array(d);
  for (let row = 0; row < count; row++) for (let i = 0; i < d; i++) mean[i] += rows[row * d + i];
  for (let i = 0; i < d; i++) mean[i] /= count;
  const centred = rows.slice();
  for (let row = 0; row < count; row++) for (let i = 0; i < d; i++) centred[row * d + i] -= mean[i];
  mergeMoments(sums, count, mean, () => addGram(sums.scatter, centred, count, d));
}

/** out += X^T X in its upper half, for X [rows, d]. */
function addGram(out: Float64Array, x: Float64Array, rows: number, d: number): void {
  for (let i = 0; i < d; i += stripe) {
    const right = rowMajor(x, d, i);
    const extents = { rows: Math.min(stripe, d - i), columns: d - i, inner: rows };
    addProduct({ data: out, offset: i * d + i, stride: d }, transposed(right), right, extents);
  }
}

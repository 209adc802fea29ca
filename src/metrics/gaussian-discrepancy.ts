import { UsageError } from '../errors.ts';
import { quantile } from '../numerics/statistics.ts';
import { requireFeatures } from './features.ts';
import type { Features } from './features.ts';
import { squaredDistance } from './squared-distances.ts';

export interface GaussianDiscrepancyOptions {
  /** Coordinates of a point, d. */
  dimension: number;
  /** Width h of the kernel exp(-|x - y|^2 / (2 h^2)), in the units of the points. Default: `medianBandwidth` of both. */
  bandwidth?: number;
}

export interface GaussianDiscrepancy {
  /** The squared MMD; 0 on average for two sets of one distribution, and then negative about half of the time. */
  readonly squared: number;
  /** The width of the kernel that was used. */
  readonly bandwidth: number;
}

/**
 * Squared maximum mean discrepancy of two point sets with the kernel exp(-|x - y|^2 / (2 h^2)), the unbiased estimate of
 * Gretton et al. 2012, eq. 3. Numbers of different bandwidths cannot be compared: give one when several sets of samples
 * are held against the same data.
 *
 * @param a points [N, d], N >= 2
 * @param b points [M, d], M >= 2
 * @throws UsageError     for fewer than two points, or a bandwidth that is not above 0
 * @throws ShapeError     when a set does not hold whole points
 * @throws NonFiniteError when a coordinate is NaN or infinite
 * Cost: (N + M)^2 / 2 kernels of d + 1 operations; meant for points, not for images.
 */
export function gaussianDiscrepancy(
  a: Features,
  b: Features,
  { dimension, bandwidth = medianBandwidth(a, b, dimension) }: GaussianDiscrepancyOptions,
): GaussianDiscrepancy {
  const n = requireFeatures('gaussianDiscrepancy: a', a, dimension, 2);
  const m = requireFeatures('gaussianDiscrepancy: b', b, dimension, 2);
  if (!(bandwidth > 0 && bandwidth < Infinity))
    throw new UsageError(`gaussianDiscrepancy: bandwidth must be a number above 0, got ${bandwidth}`);
  const kernel = (x: Features, i: number, y: Features, j: number): number =>
    Math.exp(-squaredDistance(x, i * dimension, y, j * dimension, dimension) / (2 * bandwidth ** 2));
  const within = (x: Features, count: number): number => {
    let sum = 0;
    for (let i = 0; i < count; i++) for (let j = 0; j < i; j++) sum += kernel(x, i, x, j);
    return (2 * sum) / (count * (count - 1));
  };
  let between = 0;
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) between += kernel(a, i, b, j);
  return { squared: within(a, n) + within(b, m) - (2 * between) / (n * m), bandwidth };
}

/** Points of which all distances are looked at. */
const medianPoints = 1000;

/**
 * The median heuristic for the width of a kernel: the median distance between different points of both sets together
 * (Gretton et al. 2012, Sec. 8). Of more than 1000 points, 1000 evenly spaced ones are taken.
 *
 * @throws UsageError when more than half of the pairs are copies, so that the median is 0; other errors as
 *   `gaussianDiscrepancy`
 */
export function medianBandwidth(a: Features, b: Features, dimension: number): number {
  const n = requireFeatures('medianBandwidth: a', a, dimension);
  const total = n + requireFeatures('medianBandwidth: b', b, dimension);
  const count = Math.min(total, medianPoints);
  const chosen = new Float64Array(count * dimension);
  for (let i = 0; i < count; i++) {
    const row = Math.floor((i * total) / count);
    const [from, at] = row < n ? [a, row] : [b, row - n];
    chosen.set(from.subarray(at * dimension, (at + 1) * dimension), i * dimension);
  }
  const distances = new Float64Array((count * (count - 1)) / 2);
  for (let i = 0, to = 0; i < count; i++) {
    for (let j = 0; j < i; j++)
      distances[to++] = Math.sqrt(squaredDistance(chosen, i * dimension, chosen, j * dimension, dimension));
  }
  const width = quantile(distances, 0.5);
  if (!(width > 0))
    throw new UsageError(`medianBandwidth: most points are copies of each other, the median distance is ${width}`);
  return width;
}

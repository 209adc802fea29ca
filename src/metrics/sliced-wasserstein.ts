import { NonFiniteError, ShapeError, UsageError } from '../errors.ts';
import { fillNormal, streams } from '../numerics/random.ts';

export interface SlicedWassersteinOptions {
  /** Coordinates of a point, d. */
  dimension: number;
  /** Directions averaged over, at least 1. Default 128. One is exact for d = 1, and only one is used there. */
  projections?: number;
  /** Chooses the directions for d of 3 and more. Default 0. */
  seed?: number;
}

/**
 * Sliced Wasserstein-1 distance between two point sets of equal weights: the mean over directions u on the unit sphere
 * of the distance W1 between the projections,
 *   SW1 = E_u W1(u·a, u·b),   W1(p, q) = integral over t in [0, 1] of |F_p^-1(t) - F_q^-1(t)|.
 * Bonneel, Rabin, Peyré and Pfister 2015, Sec. 3, with exponent 1. Each W1 is exact, for equal and unequal counts.
 * A shift by v in the plane gives 2/pi |v|. Two sets of n points of one distribution with standard deviation s are
 * about 1.8 s / sqrt(n) apart, not 0 (Gaussian, each direction).
 *
 * The directions are the same for the same dimension, projections and seed, whatever the points: the angles pi k / K in
 * the plane (k < K), else normalised normal numbers of the stream `evaluation`, where more projections only add some.
 *
 * @param a points [N, d]
 * @param b points [M, d]
 * @returns the distance in the units of the points, computed in float64
 * @throws ShapeError     when a set is empty or does not hold whole points
 * @throws NonFiniteError when a coordinate is NaN or infinite
 * @throws UsageError     for a dimension or number of projections below 1
 * Cost: projections * (N + M) * (d + log(N + M)) operations, memory 8 (N + M) bytes.
 */
export function slicedWasserstein(
  a: Float32Array | Float64Array,
  b: Float32Array | Float64Array,
  { dimension, projections = 128, seed = 0 }: SlicedWassersteinOptions,
): number {
  for (const [name, value] of Object.entries({ dimension, projections })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new UsageError(`slicedWasserstein: ${name} must be a whole number of at least 1, got ${value}`);
    }
  }
  requirePoints('a', a, dimension);
  requirePoints('b', b, dimension);

  const count = dimension === 1 ? 1 : projections;
  const direction = new Float64Array(dimension);
  const projectedA = new Float64Array(a.length / dimension);
  const projectedB = new Float64Array(b.length / dimension);
  let sum = 0;
  for (let k = 0; k < count; k++) {
    setDirection(direction, k, count, seed);
    project(a, direction, projectedA);
    project(b, direction, projectedB);
    sum += wasserstein1(projectedA.sort(), projectedB.sort());
  }
  return sum / count;
}

/**
 * W1 between two sorted lists of numbers of equal weights, N and M of them: the integral of the distance between the
 * two quantile functions, which are steps of width 1/N and 1/M.
 */
function wasserstein1(a: Float64Array, b: Float64Array): number {
  // Positions on the t axis in units of 1 / (N M), where all steps end at whole numbers.
  let sum = 0;
  let position = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const endA = (i + 1) * b.length;
    const endB = (j + 1) * a.length;
    const end = Math.min(endA, endB);
    sum += (end - position) * Math.abs(a[i] - b[j]);
    position = end;
    if (end === endA) i++;
    if (end === endB) j++;
  }
  return sum / (a.length * b.length);
}

function setDirection(direction: Float64Array, k: number, count: number, seed: number): void {
  if (direction.length === 1) {
    direction[0] = 1;
  } else if (direction.length === 2) {
    direction[0] = Math.cos((Math.PI * k) / count);
    direction[1] = Math.sin((Math.PI * k) / count);
  } else {
    fillNormal(direction, { seed, stream: streams.evaluation, step: 0, sample: k });
    const norm = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < direction.length; i++) direction[i] /= norm;
  }
}

/** The coordinate of each point [N, d] along the direction [d]. */
function project(points: Float32Array | Float64Array, direction: Float64Array, out: Float64Array): void {
  const d = direction.length;
  for (let n = 0; n < out.length; n++) {
    let sum = 0;
    for (let i = 0; i < d; i++) sum += direction[i] * points[n * d + i];
    out[n] = sum;
  }
}

function requirePoints(name: string, points: Float32Array | Float64Array, dimension: number): void {
  if (points.length === 0 || points.length % dimension !== 0) {
    throw new ShapeError(
      `slicedWasserstein: ${name} must hold at least one point of ${dimension} coordinates, got ${points.length} values`,
    );
  }
  const bad = points.findIndex((value: number) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new NonFiniteError(
      `slicedWasserstein: point ${Math.floor(bad / dimension)} of ${name} has the value ${points[bad]}`,
    );
  }
}

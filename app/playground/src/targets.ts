import { drawSources, fillNormal, fillUniform, permutation, posteriorWeights, streams } from 'stable-target-field';

/*
 * Targets of noisy points in the plane, in float64 and few enough to be worked out while a slider moves: x = y + σ z, and
 * the posterior weight of a source y is proportional to exp(-|x - y|² / (2 σ²)).
 */

export type Point = readonly [x: number, y: number];

/** Points [N, 2], flat. */
export type Points = Float32Array;

/** A noisy point, and the row of the data that it was made from. */
export interface NoisyPoint {
  readonly at: Point;
  readonly home: number;
}

/** What one noisy point is told by each kind of target. */
export interface Targets {
  /** Mean over all sources: what every denoiser should answer. */
  readonly exact: Point;
  /** The source that the DSM target is, drawn from the posterior. */
  readonly source: number;
  readonly dsm: Point;
  /** Weighted mean over the references. */
  readonly stf: Point;
  /** Rows of the reference batch, the source first, and the weight of each. */
  readonly references: Uint32Array;
  readonly referenceWeights: Float64Array;
}

export const pointOf = (points: Points, row: number): Point => [points[2 * row], points[2 * row + 1]];

/**
 * ln of the weight of each source, up to a constant.
 *
 * @param rows  the sources; all when left out
 */
export function logWeightsAt(points: Points, [x, y]: Point, sigma: number, rows?: Uint32Array): Float64Array {
  const logWeights = new Float64Array(rows?.length ?? points.length / 2);
  for (let k = 0; k < logWeights.length; k++) {
    const row = rows ? rows[k] : k;
    logWeights[k] = -((x - points[2 * row]) ** 2 + (y - points[2 * row + 1]) ** 2) / (2 * sigma * sigma);
  }
  return logWeights;
}

/** Weighted mean of sources. @param rows  the sources; all when left out */
export function weightedMean(points: Points, weights: ArrayLike<number>, rows?: Uint32Array): Point {
  let [x, y] = [0, 0];
  for (let k = 0; k < weights.length; k++) {
    const row = rows ? rows[k] : k;
    x += weights[k] * points[2 * row];
    y += weights[k] * points[2 * row + 1];
  }
  return [x, y];
}

/** The exact mean over all sources at a noisy point. */
export const exactMean = (points: Points, at: Point, sigma: number): Point =>
  weightedMean(points, posteriorWeights(logWeightsAt(points, at, sigma)));

/**
 * Noisy points whose sources and noise directions stay the same while σ changes.
 *
 * @param count  of them at most
 * @param isSeen  whether a source counts
 */
export function noisyPoints(
  points: Points,
  { sigma, count, isSeen }: { sigma: number; count: number; isSeen: (source: Point) => boolean },
): NoisyPoint[] {
  const order = permutation(points.length / 2, 0, streams.probeOrder, 0);
  const homes = order.filter((row) => isSeen(pointOf(points, row))).slice(0, count);
  const noise = new Float64Array(2);
  return Array.from(homes, (home) => {
    fillNormal(noise, { seed: 0, stream: streams.evaluation, step: 0, sample: home });
    const [x, y] = pointOf(points, home);
    return { at: [x + sigma * noise[0], y + sigma * noise[1]], home };
  });
}

/**
 * A reference batch: the source, and others chosen at random from the rest of the data.
 *
 * @param n      references, the source among them; at most all of the data
 * @param order  a random order of the data
 */
export function referencesAround(source: number, n: number, order: Uint32Array): Uint32Array {
  const references = new Uint32Array(Math.min(n, order.length));
  references[0] = source;
  for (let i = 0, k = 1; k < references.length; i++) if (order[i] !== source) references[k++] = order[i];
  return references;
}

/**
 * Both targets of noisy points when the same points turn up once more: each time with a source from the posterior and
 * with other references.
 *
 * @param n     references
 * @param draw  which time: 0, 1, 2, ...
 */
export function targetsOf(
  points: Points,
  noisy: readonly NoisyPoint[],
  { sigma, n, draw }: { sigma: number; n: number; draw: number },
): Targets[] {
  const order = permutation(points.length / 2, 0, streams.references, draw);
  const chance = new Float64Array(noisy.length);
  fillUniform(chance, { seed: 0, stream: streams.probeReferences, step: draw, sample: 0 });
  return noisy.map(({ at, home }, i) => {
    const logWeights = logWeightsAt(points, at, sigma);
    // At first the source is the one that the point was made from.
    const [source] = draw === 0 ? [home] : drawSources(logWeights, [chance[i]]);
    return { ...stableTargetOf(points, at, { sigma, references: referencesAround(source, n, order) }), source };
  });
}

/** The targets of one noisy point, given its references; the first of them is its source. */
export function stableTargetOf(
  points: Points,
  at: Point,
  { sigma, references }: { sigma: number; references: Uint32Array },
): Targets {
  const referenceWeights = posteriorWeights(logWeightsAt(points, at, sigma, references));
  return {
    exact: exactMean(points, at, sigma),
    source: references[0],
    dsm: pointOf(points, references[0]),
    stf: weightedMean(points, referenceWeights, references),
    references,
    referenceWeights,
  };
}

/** The row of the point with the most others around it: where there is something to see under a magnifying glass. */
export function densestRow(points: Points, reach = 0.04): number {
  let [densest, most] = [0, -1];
  for (let row = 0; row < points.length / 2; row++) {
    const crowd = logWeightsAt(points, pointOf(points, row), reach).reduce((sum, each) => sum + Math.exp(each), 0);
    if (crowd > most) [densest, most] = [row, crowd];
  }
  return densest;
}

export const squaredDistance = ([ax, ay]: Point, [bx, by]: Point): number => (ax - bx) ** 2 + (ay - by) ** 2;

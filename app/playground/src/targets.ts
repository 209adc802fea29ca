import { drawSources, fillNormal, fillUniform, permutation, posteriorWeights, streams } from 'stable-target-field';

/*
 * Targets of noisy samples, in float64 and few enough to be worked out while a slider moves: x = y + σ z, and the posterior
 * weight of a source y is proportional to exp(-|x - y|² / (2 σ²)). A sample is a vector: a point in the plane or a picture.
 */

export type Vector = Float32Array | Float64Array;

/** The data: vectors [N, dimension], flat. */
export interface Sources {
  readonly values: Float32Array;
  readonly dimension: number;
}

/** A noisy sample, and the row of the data that it was made from. */
export interface Noisy {
  readonly at: Float64Array;
  readonly home: number;
}

/** What one noisy sample is told by each kind of target. */
export interface Targets {
  /** Mean over all sources: what every denoiser should answer. */
  readonly exact: Float64Array;
  /** The source that the DSM target is, drawn from the posterior. */
  readonly source: number;
  readonly dsm: Vector;
  /** Weighted mean over the references. */
  readonly stf: Float64Array;
  /** Rows of the reference batch, the source first, and the weight of each. */
  readonly references: Uint32Array;
  readonly referenceWeights: Float64Array;
}

export const countOf = ({ values, dimension }: Sources): number => values.length / dimension;

export const sourceAt = ({ values, dimension }: Sources, row: number): Float32Array =>
  values.subarray(row * dimension, (row + 1) * dimension);

/** ln of the weight of each source, up to a constant. */
export function logWeightsAt(sources: Sources, at: Vector, sigma: number): Float64Array {
  const { values, dimension } = sources;
  const logWeights = new Float64Array(countOf(sources));
  for (let k = 0; k < logWeights.length; k++) {
    const from = k * dimension;
    let square = 0;
    for (let i = 0; i < dimension; i++) square += (at[i] - values[from + i]) ** 2;
    logWeights[k] = -square / (2 * sigma * sigma);
  }
  return logWeights;
}

/** Weights below this add nothing that float64 could tell. */
const negligible = 1e-18;

/** Weighted mean of sources. @param rows  the sources; all when left out */
export function weightedMean(
  { values, dimension }: Sources,
  weights: ArrayLike<number>,
  rows?: Uint32Array,
): Float64Array {
  const mean = new Float64Array(dimension);
  for (let k = 0; k < weights.length; k++) {
    if (weights[k] < negligible) continue;
    const from = (rows ? rows[k] : k) * dimension;
    for (let i = 0; i < dimension; i++) mean[i] += weights[k] * values[from + i];
  }
  return mean;
}

/** The exact mean over all sources at a noisy sample. */
export const exactMean = (sources: Sources, at: Vector, sigma: number): Float64Array =>
  weightedMean(sources, posteriorWeights(logWeightsAt(sources, at, sigma)));

/** A source with noise, given as a normal vector. */
export function withNoise(source: Vector, sigma: number, noise: Vector): Float64Array {
  const at = new Float64Array(source.length);
  for (let i = 0; i < at.length; i++) at[i] = source[i] + sigma * noise[i];
  return at;
}

/**
 * Noisy samples whose sources and noise directions stay the same while σ changes.
 *
 * @param count  of them at most
 * @param isSeen  whether a source counts
 */
export function noisySamples(
  sources: Sources,
  { sigma, count, isSeen = () => true }: { sigma: number; count: number; isSeen?: (source: Vector) => boolean },
): Noisy[] {
  const order = permutation(countOf(sources), 0, streams.probeOrder, 0);
  const homes = order.filter((row) => isSeen(sourceAt(sources, row))).slice(0, count);
  const noise = new Float64Array(sources.dimension);
  return Array.from(homes, (home) => {
    fillNormal(noise, { seed: 0, stream: streams.evaluation, step: 0, sample: home });
    return { at: withNoise(sourceAt(sources, home), sigma, noise), home };
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
 * Both targets of noisy samples when the same ones turn up once more: each time with a source from the posterior and with
 * other references.
 *
 * @param n     references
 * @param draw  which time: 0, 1, 2, ...
 */
export function targetsOf(
  sources: Sources,
  noisy: readonly Noisy[],
  { sigma, n, draw }: { sigma: number; n: number; draw: number },
): Targets[] {
  const order = permutation(countOf(sources), 0, streams.references, draw);
  const chance = new Float64Array(noisy.length);
  fillUniform(chance, { seed: 0, stream: streams.probeReferences, step: draw, sample: 0 });
  return noisy.map(({ at, home }, i) => {
    const logWeights = logWeightsAt(sources, at, sigma);
    // At first the source is the one that the sample was made from.
    const [source] = draw === 0 ? [home] : drawSources(logWeights, [chance[i]]);
    return stableTargetOf(sources, logWeights, referencesAround(source, n, order));
  });
}

/**
 * The targets of one noisy sample, given its references; the first of them is its source.
 *
 * @param logWeights  of all sources at the noisy sample
 */
export function stableTargetOf(sources: Sources, logWeights: Float64Array, references: Uint32Array): Targets {
  const chosen = new Float64Array(references.length);
  for (let k = 0; k < chosen.length; k++) chosen[k] = logWeights[references[k]];
  const referenceWeights = posteriorWeights(chosen);
  return {
    exact: weightedMean(sources, posteriorWeights(logWeights)),
    source: references[0],
    dsm: sourceAt(sources, references[0]),
    stf: weightedMean(sources, referenceWeights, references),
    references,
    referenceWeights,
  };
}

/** The row of the point with the most others around it: where there is something to see under a magnifying glass. */
export function densestRow(points: Sources, reach = 0.04): number {
  let [densest, most] = [0, -1];
  for (let row = 0; row < countOf(points); row++) {
    const crowd = logWeightsAt(points, sourceAt(points, row), reach).reduce((sum, each) => sum + Math.exp(each), 0);
    if (crowd > most) [densest, most] = [row, crowd];
  }
  return densest;
}

export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/** Root of a mean of squares. */
export const rootMean = (squares: readonly number[]): number =>
  Math.sqrt(squares.reduce((a, b) => a + b, 0) / squares.length);

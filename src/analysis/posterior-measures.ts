/**
 * What the posterior over a data set is like at one noisy sample: between a point mass, where one source explains the
 * sample, and the prior, where all sources do alike. Logarithms are natural.
 */
export interface PosteriorMeasures {
  /** -Σ w ln w, nats. */
  readonly entropy: number;
  /** Effective number of sources 1 / Σ w². */
  readonly effectiveSources: number;
  /** KL divergence Σ w ln(w N) of the posterior from the uniform prior, nats: ln N - entropy. */
  readonly klToPrior: number;
  /** Total variation between posterior and uniform prior, ½ Σ |w - 1/N|. */
  readonly distanceToPrior: number;
  /** Total variation between the posterior and the point mass at its most likely source, 1 - max w. */
  readonly distanceToPoint: number;
  /** The most likely source, which is the nearest to the noisy sample; the first of several. */
  readonly mostLikely: number;
  /** Its weight. */
  readonly largestWeight: number;
  /** χ² divergence of the posterior from the prior, Σ (w - 1/N)² / (1/N) = N / effectiveSources - 1. */
  readonly chiSquare: number;
  /** Its mean over the posterior's own draws, Σ w (N w - 1)²: how uneven the weights of the likely sources are. */
  readonly squaredExcess: number;
}

/**
 * Measures of a posterior over N equally likely sources.
 *
 * @param logWeights  ln w up to a constant [N], at least one finite
 */
export function posteriorMeasures(logWeights: ArrayLike<number>): PosteriorMeasures {
  const count = logWeights.length;
  let [largest, mostLikely] = [-Infinity, 0];
  for (let k = 0; k < count; k++) {
    if (logWeights[k] > largest) [largest, mostLikely] = [logWeights[k], k];
  }
  // A float64 sum of what is left beside the largest, so that nothing is lost next to a weight of almost 1.
  let [rest, slope, squares] = [0, 0, 0];
  const terms = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    const below = logWeights[k] - largest;
    if (below < negligible) continue;
    const term = Math.exp(below);
    terms[k] = term;
    if (k !== mostLikely) rest += term;
    slope += term * below;
    squares += term * term;
  }
  const total = 1 + rest;
  const even = total / count;
  let [above, cubes] = [0, 0];
  for (let k = 0; k < count; k++) {
    if (terms[k] > even) above += terms[k] - even;
    cubes += terms[k] * (terms[k] / even - 1) ** 2;
  }
  const entropy = Math.log1p(rest) - slope / total;
  const effectiveSources = total ** 2 / squares;
  return {
    entropy,
    effectiveSources,
    klToPrior: Math.max(0, Math.log(count) - entropy),
    distanceToPrior: above / total,
    distanceToPoint: rest / total,
    mostLikely,
    largestWeight: 1 / total,
    chiSquare: count / effectiveSources - 1,
    squaredExcess: cubes / total,
  };
}

/** The posterior weights themselves [N]. */
export function posteriorWeights(logWeights: ArrayLike<number>): Float64Array {
  let largest = -Infinity;
  for (let k = 0; k < logWeights.length; k++) largest = Math.max(largest, logWeights[k]);
  const weights = Float64Array.from(logWeights, (each) => Math.exp(each - largest));
  const total = weights.reduce((sum, each) => sum + each, 0);
  return weights.map((each) => each / total);
}

/** Terms below e^-745 are 0 in float64. */
const negligible = -745;

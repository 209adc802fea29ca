/** The mixture Σ π_k N(μ_k, s² I) of Gaussians of one width: everything about its noisy samples has a closed form. */
export interface GaussianMixture {
  /** μ_k, flat [K, d]. */
  readonly means: ArrayLike<number>;
  /** π_k, which sum to 1. */
  readonly weights: ArrayLike<number>;
  /** s. */
  readonly deviation: number;
}

/**
 * The score ∇log p of x = scale x₀ + deviation z with x₀ of the mixture: Σ w_k (scale μ_k - x) / v with
 * v = scale² s² + deviation² and w_k the posterior probabilities of the components.
 *
 * @param x  one sample [d]
 */
export function mixtureScore(
  { means, weights, deviation: width }: GaussianMixture,
  x: ArrayLike<number>,
  { scale, deviation }: { scale: number; deviation: number },
): Float64Array {
  const size = x.length;
  const variance = (scale * width) ** 2 + deviation ** 2;
  const logWeights = Array.from(weights, (weight, k) => {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x[i] - scale * means[k * size + i]) ** 2;
    return Math.log(weight) - squares / (2 * variance);
  });
  const largest = Math.max(...logWeights);
  const shares = logWeights.map((each) => Math.exp(each - largest));
  const total = shares.reduce((sum, each) => sum + each, 0);
  return Float64Array.from({ length: size }, (_, i) =>
    shares.reduce((sum, share, k) => sum + ((share / total) * (scale * means[k * size + i] - x[i])) / variance, 0),
  );
}

import type { Denoise, DenoiseJacobian } from '../../src/sampling/index.ts';

/** The mixture Σ π_k N(μ_k, s² I) of Gaussians of one width: everything about its noisy samples has a closed form. */
export interface GaussianMixture {
  /** μ_k, flat [K, d]. */
  readonly means: ArrayLike<number>;
  /** π_k, which sum to 1. */
  readonly weights: ArrayLike<number>;
  /** s. */
  readonly deviation: number;
}

/** How samples of the mixture became noisy: x = scale x₀ + deviation z. */
interface Perturbed {
  readonly scale: number;
  readonly deviation: number;
}

/** log π_k - |x - scale μ_k|² / 2v, what it adds up to with the density's constant, and v = scale² s² + deviation². */
function posterior(
  { means, weights, deviation: width }: GaussianMixture,
  x: ArrayLike<number>,
  { scale, deviation }: Perturbed,
) {
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
  return {
    variance,
    shares: shares.map((share) => share / total),
    logDensity: largest + Math.log(total) - (size / 2) * Math.log(2 * Math.PI * variance),
  };
}

/** log p(x) of noisy samples of the mixture. @param x one sample [d] */
export const mixtureLogDensity = (mixture: GaussianMixture, x: ArrayLike<number>, perturbed: Perturbed): number =>
  posterior(mixture, x, perturbed).logDensity;

/**
 * The score ∇log p of x = scale x₀ + deviation z with x₀ of the mixture: Σ w_k (scale μ_k - x) / v with
 * v = scale² s² + deviation² and w_k the posterior probabilities of the components.
 *
 * @param x  one sample [d]
 */
export function mixtureScore(mixture: GaussianMixture, x: ArrayLike<number>, perturbed: Perturbed): Float64Array {
  const { variance, shares } = posterior(mixture, x, perturbed);
  const { means } = mixture;
  return Float64Array.from({ length: x.length }, (_, i) =>
    shares.reduce((sum, share, k) => sum + (share * (perturbed.scale * means[k * x.length + i] - x[i])) / variance, 0),
  );
}

/** Samples of a batch, one by one. */
function perSample(
  x: Float64Array,
  size: number,
  one: (x: Float64Array, i: number) => ArrayLike<number>,
): Float64Array {
  const all = new Float64Array(x.length);
  for (let i = 0; i < x.length / size; i++) all.set(one(x.subarray(i * size, (i + 1) * size), i), i * size);
  return all;
}

const sizeOf = ({ means, weights }: GaussianMixture): number => means.length / weights.length;

/** D(x; σ) = Σ w_k (μ_k + (s² / v) (x - μ_k)), v = s² + σ²: a sum of components, without the cancellation of x + σ² score. */
export function mixtureDenoiser(mixture: GaussianMixture): Denoise {
  const { means, deviation } = mixture;
  const size = sizeOf(mixture);
  return (x, sigma) =>
    Promise.resolve(
      perSample(x, size, (one) => {
        const { shares, variance } = posterior(mixture, one, { scale: 1, deviation: sigma });
        const kept = deviation ** 2 / variance;
        return one.map((value, i) =>
          shares.reduce(
            (sum, share, k) => sum + share * (means[k * size + i] + kept * (value - means[k * size + i])),
            0,
          ),
        );
      }),
    );
}

/** D(x; σ) and ∂D/∂x · v = (s² / v) v + (σ² / v²) Σ w_k (μ_k - μ̄) ((μ_k - μ̄) · v), μ̄ = Σ w_k μ_k. The Jacobian is symmetric. */
export function mixtureJacobian(mixture: GaussianMixture): DenoiseJacobian {
  const denoise = mixtureDenoiser(mixture);
  const { means, deviation } = mixture;
  const size = sizeOf(mixture);
  return async (x, sigma, vectors) => ({
    denoised: await denoise(x, sigma),
    product: perSample(x, size, (one, index) => {
      const vector = vectors.subarray(index * size, (index + 1) * size);
      const { shares, variance } = posterior(mixture, one, { scale: 1, deviation: sigma });
      const centre = one.map((_, i) => shares.reduce((sum, share, k) => sum + share * means[k * size + i], 0));
      const along = shares.map((share, k) =>
        vector.reduce((sum, value, i) => sum + share * (means[k * size + i] - centre[i]) * value, 0),
      );
      return vector.map(
        (value, i) =>
          (deviation ** 2 / variance) * value +
          (sigma ** 2 / variance ** 2) *
            along.reduce((sum, each, k) => sum + each * (means[k * size + i] - centre[i]), 0),
      );
    }),
  });
}

/** Two Gaussians N(μ_k, s² I) with probabilities π_k: the smallest data set with modes, of which all is known. */
export interface TwoGaussians {
  /** [2, d] */
  readonly means: ArrayLike<number>;
  /** [2], sum 1 */
  readonly weights: ArrayLike<number>;
  /** s */
  readonly deviation: number;
}

/** The posterior at a noisy sample x. */
export interface MixturePosterior {
  /** Posterior probabilities of the two components. */
  readonly responsibilities: readonly [number, number];
  /** E[x₀ | x], [d]. */
  readonly mean: Float64Array;
  /** Tr Cov(x₀ | x) = d s² σ² / v + r₁ r₂ (σ² / v)² |μ₁ - μ₂|², v = s² + σ². */
  readonly variance: number;
}

/** The posterior of the clean sample given x = x₀ + σ z. @param x  [d] */
export function mixturePosterior(mixture: TwoGaussians, x: ArrayLike<number>, sigma: number): MixturePosterior {
  const { means, deviation } = mixture;
  const dimension = x.length;
  const v = deviation ** 2 + sigma ** 2;
  let along = 0;
  for (let i = 0; i < dimension; i++) {
    const middle = (means[i] + means[dimension + i]) / 2;
    along += (x[i] - middle) * (means[i] - means[dimension + i]);
  }
  const responsibilities = componentsAt(mixture, along / v);
  const [first, second] = responsibilities;
  const kept = deviation ** 2 / v;
  const mean = Float64Array.from({ length: dimension }, (_, i) => {
    const centre = first * means[i] + second * means[dimension + i];
    return centre + kept * (x[i] - centre);
  });
  const { within, between } = varianceParts(mixture, sigma, first * second);
  return { responsibilities, mean, variance: within + between };
}

/** r₁ = 1 / (1 + π₂ / π₁ e^-a) and r₂, both without cancellation, where a = (x - (μ₁ + μ₂) / 2)·(μ₁ - μ₂) / v. */
function componentsAt({ weights }: TwoGaussians, a: number): [number, number] {
  const odds = a + Math.log(weights[0] / weights[1]);
  return [1 / (1 + Math.exp(-odds)), 1 / (1 + Math.exp(odds))];
}

function varianceParts({ means, deviation }: TwoGaussians, sigma: number, product: number) {
  const dimension = means.length / 2;
  const v = deviation ** 2 + sigma ** 2;
  return {
    within: (dimension * deviation ** 2 * sigma ** 2) / v,
    between: product * (sigma ** 2 / v) ** 2 * squaredDistance(means),
  };
}

function squaredDistance(means: ArrayLike<number>): number {
  const dimension = means.length / 2;
  let squares = 0;
  for (let i = 0; i < dimension; i++) squares += (means[i] - means[dimension + i]) ** 2;
  return squares;
}

/** Expectations over noisy samples of one noise level; of the components where it says so. */
export interface MixtureLevel {
  readonly sigma: number;
  /** E Tr Cov(x₀ | x). */
  readonly variance: number;
  /** The part of it that comes from not knowing the component. */
  readonly between: number;
  /** Entropy of the component's posterior, nats. */
  readonly entropy: number;
  /** Effective number of components 1 / Σ r². */
  readonly effectiveComponents: number;
  /** Total variation between the component's posterior and the likelier component. */
  readonly distanceToPoint: number;
  /** Total variation between the component's posterior and π. */
  readonly distanceToPrior: number;
}

/** Standard deviations that quadrature reaches to either side, and its steps to one. */
const reach = 14;
const steps = 2 ** 12;

/**
 * Expectations over noisy samples, by the trapezoid rule along the line through both means, which converges faster than any
 * power for such integrands.
 */
export function mixtureLevel(mixture: TwoGaussians, sigma: number): MixtureLevel {
  const { means, weights, deviation } = mixture;
  const v = deviation ** 2 + sigma ** 2;
  const distance = Math.sqrt(squaredDistance(means));
  const total = { product: 0, entropy: 0, components: 0, point: 0, prior: 0, mass: 0 };
  // Each component's own noisy samples in turn: t = ± D / 2 + √v u, u unit normal, along the line.
  for (const [k, weight] of Array.from(weights).entries()) {
    for (let j = -reach * steps; j <= reach * steps; j++) {
      const u = j / steps;
      const density = weight * Math.exp(-0.5 * u * u);
      const t = (k === 0 ? 0.5 : -0.5) * distance + Math.sqrt(v) * u;
      const [a, b] = componentsAt(mixture, (t * distance) / v);
      total.mass += density;
      total.product += density * a * b;
      total.entropy -= density * (plogp(a) + plogp(b));
      total.components += density / (a * a + b * b);
      total.point += density * Math.min(a, b);
      total.prior += density * Math.abs(a - weights[0]);
    }
  }
  const expected = (value: number): number => value / total.mass;
  const { within, between } = varianceParts(mixture, sigma, expected(total.product));
  return {
    sigma,
    variance: within + between,
    between,
    entropy: expected(total.entropy),
    effectiveComponents: expected(total.components),
    distanceToPoint: expected(total.point),
    distanceToPrior: expected(total.prior),
  };
}

const plogp = (p: number): number => (p > 0 ? p * Math.log(p) : 0);

import { ShapeError, UsageError } from '../errors.ts';
import {
  add,
  constant,
  div,
  equal,
  exp,
  formatShape,
  gather,
  largestIndices,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  pickAt,
  replaceAt,
  reshape,
  slice,
  square,
  stopGradient,
  sub,
  sum,
  where,
} from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/** Noisy samples with the structure that made them: x = clean + sigma · noise. */
export interface Perturbation {
  /** Clean samples [B, d], the sources. */
  readonly clean: Tensor;
  /** Unit normal noise [B, d]. */
  readonly noise: Tensor;
  /** Noise levels [B], above 0, in the units of the data. */
  readonly sigma: Tensor;
}

/** Restricts each sample's posterior to references of its own class. */
export interface ReferenceLabels {
  /** Class of each source [B], int64. */
  readonly source: Tensor;
  /** Class of each reference [n], int64. */
  readonly reference: Tensor;
}

export interface PosteriorOptions {
  readonly labels?: ReferenceLabels | undefined;
  /** Which references count for a sample [B, n], bool. */
  readonly counts?: Tensor | undefined;
  /** References whose weights are worked out without cancellation, per sample and block. */
  readonly candidates?: number;
  /** References taken at a time: the memory of a block is B × block weights. */
  readonly block?: number;
}

/**
 * Running soft-max over blocks of references: the largest log-weight so far [B, 1], the sum of weights relative to it
 * [B, 1], and moments of the references under these weights: Σ w (y - centre) [B, d], Σ w |y - source|² [B, 1] and Σ w²
 * [B, 1].
 */
export interface PosteriorSums {
  readonly largest: Tensor;
  readonly total: Tensor;
  readonly weighted: Tensor;
  readonly squaredDistances: Tensor;
  readonly squaredWeights: Tensor;
}

/** What is known of the posterior p(clean | x) over a reference set. */
export interface Posterior {
  /** Posterior mean [B, d]. */
  readonly mean: Tensor;
  /** Trace of the posterior covariance [B, 1]: the variance of the DSM target in denoiser form. */
  readonly variance: Tensor;
  /** Effective number of sources 1 / Σ w² [B, 1]. */
  readonly effectiveSources: Tensor;
}

/** Far below every log-weight that counts, far above what would overflow. */
const never = -1e30;

/**
 * Log-weights of references, ln w_k = -|x - y_k|² / (2 σ²) up to a constant of each sample: here relative to the
 * source, whose own log-weight is 0.
 *
 * One matrix product gives them all, but expanding |x - y|² loses about 1e-4 of its value in float32: tens of nats at
 * σ = 0.002. With x = x₁ + σ z the log-weight is -(|x₁ - y|² + 2 σ z·(x₁ - y)) / (2 σ²), in which nothing cancels
 * when y is near x₁. So the candidates with the largest approximate weights are worked out again in that form. Where
 * more references than these count, σ is large beside the distances between images and the product is accurate enough;
 * the exception is more near duplicates of one image than candidates, at a σ below their distances: there the weights
 * among them are rounding, and the target is off by less than they differ.
 */
function weigh(
  { clean, noise, sigma }: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions,
): { logWeights: Tensor; squaredDistances: Tensor } {
  const [count] = reference.shape;
  const level = reshape(sigma, [-1, 1]);
  const precision = reshape(div(1, square(sigma)), [-1, 1]);
  const x = sub(add(clean, mul(level, noise)), centre);
  const y = sub(reference, centre);
  const source = sub(clean, centre);
  const halfSquares = reshape(mul(sum(square(y), 1), 0.5), [1, count]);
  const sourceHalfSquares = mul(sum(square(source), 1, true), 0.5);
  // (x·y - |y|² / 2) - (x·x₁ - |x₁|² / 2), over σ²
  const product = sub(matmul(x, y, { transposeB: true }), halfSquares);
  const ownProduct = sub(sum(mul(x, source), 1, true), sourceHalfSquares);
  const approximate = mul(sub(product, ownProduct), precision);
  const penalty = options.counts
    ? where(options.counts, constant(0, [], sigma.dtype), never)
    : options.labels && classPenalty(options.labels, sigma.dtype);
  const coarse = penalty ? add(approximate, penalty) : approximate;
  // |x₁ - y|²; only the posterior's variance asks for it.
  const distances = mul(sub(add(halfSquares, sourceHalfSquares), matmul(source, y, { transposeB: true })), 2);

  const candidates = Math.min(count, options.candidates ?? 32);
  const nearest = largestIndices(coarse, candidates);
  const batch = clean.shape[0];
  const gap = sub(reshape(clean, [batch, 1, -1]), gather(reference, nearest));
  const exactDistances = sum(square(gap), 2);
  const alongNoise = reshape(matmul(gap, reshape(noise, [batch, -1, 1])), [batch, candidates]);
  const exact = add(mul(exactDistances, -0.5), neg(mul(alongNoise, level)));
  const refined = add(mul(exact, precision), penalty ? pickAt(penalty, nearest) : 0);
  // None of the others counts more than the candidates do, whatever rounding says.
  const lowest = neg(max(neg(refined), 1, true));
  return {
    logWeights: replaceAt(minimum(coarse, lowest), nearest, refined),
    squaredDistances: replaceAt(maximum(distances, 0), nearest, exactDistances),
  };
}

/** 0 for references of the sample's class, `never` for the others: [B, n]. */
function classPenalty({ source, reference }: ReferenceLabels, dtype: Tensor['dtype']): Tensor {
  const same = equal(reshape(source, [-1, 1]), reshape(reference, [1, -1]));
  return where(same, constant(0, [], dtype), never);
}

/** Sums over no references at all: where streaming starts. */
export function emptySums(batch: number, dimension: number, dtype: Tensor['dtype'] = 'float32'): PosteriorSums {
  const column = constant(0, [batch, 1], dtype);
  return {
    largest: constant(never, [batch, 1], dtype),
    total: column,
    weighted: constant(0, [batch, dimension], dtype),
    squaredDistances: column,
    squaredWeights: column,
  };
}

/**
 * Takes one block of references into the sums, by the streaming log-sum-exp: when a larger log-weight appears the sums
 * so far are scaled down.
 *
 * @param reference  [n, d]
 * @param centre     [1, d], any point amid the data; the same for every block
 */
export function takeReferences(
  sums: PosteriorSums,
  perturbation: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions = {},
): PosteriorSums {
  const { logWeights, squaredDistances } = weigh(perturbation, reference, centre, options);
  const largest = maximum(sums.largest, max(logWeights, 1, true));
  const decay = exp(sub(sums.largest, largest));
  const block = exp(sub(logWeights, largest));
  const y = sub(reference, centre);
  return {
    largest,
    total: add(mul(sums.total, decay), sum(block, 1, true)),
    weighted: add(mul(sums.weighted, decay), matmul(block, y)),
    squaredDistances: add(mul(sums.squaredDistances, decay), sum(mul(block, squaredDistances), 1, true)),
    squaredWeights: add(mul(sums.squaredWeights, square(decay)), sum(square(block), 1, true)),
  };
}

/**
 * The posterior from the sums over all its references. The variance is Σ w |y - source|² - |mean - source|²: measured
 * from the source nothing cancels where the source has almost all of the weight.
 */
export function finishPosterior(sums: PosteriorSums, centre: Tensor, clean: Tensor): Posterior {
  const posteriorMean = add(div(sums.weighted, sums.total), centre);
  const meanSquare = div(sums.squaredDistances, sums.total);
  return {
    mean: posteriorMean,
    variance: maximum(sub(meanSquare, sum(square(sub(posteriorMean, clean)), 1, true)), 0),
    effectiveSources: div(square(sums.total), sums.squaredWeights),
  };
}

/**
 * The posterior over a reference set, in blocks: memory B × block weights beside the inputs.
 *
 * @param perturbation  B noisy samples of dimension d
 * @param reference     [n, d]
 * @throws ShapeError when the dimensions differ, UsageError for an impossible block
 */
export function posterior(perturbation: Perturbation, reference: Tensor, options: PosteriorOptions = {}): Posterior {
  const [count, dimension] = reference.shape;
  const [batch] = perturbation.clean.shape;
  if (perturbation.clean.shape[1] !== dimension) {
    throw new ShapeError(
      `posterior: samples are ${formatShape(perturbation.clean.shape)}, references ${formatShape(reference.shape)}; the last axis must agree.`,
    );
  }
  const { block = 4096 } = options;
  if (!Number.isInteger(block) || block < 1)
    throw new UsageError(`posterior: block must be an integer of at least 1, got ${block}.`);
  const centre = mean(reference, 0, true);
  let sums = emptySums(batch, dimension, reference.dtype);
  for (let start = 0; start < count; start += block) {
    const end = Math.min(count, start + block);
    const part = slice(reference, 0, start, end);
    const labels = options.labels && { ...options.labels, reference: slice(options.labels.reference, 0, start, end) };
    sums = takeReferences(sums, perturbation, part, centre, { ...options, labels });
  }
  return finishPosterior(sums, centre, perturbation.clean);
}

/**
 * Stable training target: the posterior mean of the clean sample given the noisy one, estimated from a reference batch,
 *
 *   target(x, σ) = Σ_k w_k y_k,   w_k ∝ exp(-|x - y_k|² / (2 σ²)),   Σ_k w_k = 1.
 *
 * Xu, Tong and Jaakkola 2023, Sec. 4, in denoiser form. When the reference batch contains the sources the target is
 * the conditional expectation of the DSM target given x and the set of references: unbiased for every n, and its
 * covariance never exceeds that of DSM. Without them it is biased, by O(1/n). No gradient flows through it.
 *
 * @param perturbation  B noisy samples x = clean + sigma · noise, of dimension d
 * @param reference     [n, d]; to be unbiased it holds the sources among its rows
 * @returns             targets [B, d]
 * @throws ShapeError when the dimensions differ
 */
export const stableTarget = (perturbation: Perturbation, reference: Tensor, options: PosteriorOptions = {}): Tensor =>
  stopGradient(posterior(perturbation, reference, options).mean);

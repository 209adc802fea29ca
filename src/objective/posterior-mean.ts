import { ShapeError, UsageError } from '../errors.ts';
import {
  add,
  constant,
  div,
  equal,
  exp,
  formatShape,
  max,
  maximum,
  mul,
  reshape,
  slice,
  square,
  stopGradient,
  sub,
  sum,
  where,
} from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { centreOf, frameOf, pieces } from './frame.ts';
import type { Perturbation } from './frame.ts';
import { never, weigh } from './log-weights.ts';

/** Restricts each sample's posterior to references of its own class. */
export interface ReferenceLabels {
  /** Class of each source [B], int64. */
  readonly source: Tensor;
  /** Class of each reference [n], int64. */
  readonly reference: Tensor;
}

export interface PosteriorOptions {
  readonly labels?: ReferenceLabels | undefined;
  /** Which references count for which sample [B, n], bool; left out: all. Where labels are given both must hold. */
  readonly counts?: Tensor | undefined;
  /**
   * Pairs of a sample and a reference whose weights are worked out without cancellation, for each sample on average:
   * samples that need more take them from those that need fewer. Left out: 4, and at least 256 in all.
   */
  readonly candidates?: number;
  /** References taken at a time: the memory of a block is B × block weights, and block × d values. */
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
 * @param reference  [n, d]; of type uint8 they are pixels u that stand for u / 127.5 - 1
 * @param centre     [1, d], any point amid the data; the same for every block
 */
export function takeReferences(
  sums: PosteriorSums,
  perturbation: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions = {},
): PosteriorSums {
  return weighReferences(sums, perturbation, reference, centre, options).sums;
}

/** The same with the log-weights of this block's references [B, n], relative to the source. */
export function weighReferences(
  sums: PosteriorSums,
  perturbation: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions = {},
): { sums: PosteriorSums; logWeights: Tensor } {
  const block = sumsOver(perturbation, reference, centre, options);
  return { sums: mergeSums(sums, block.sums), logWeights: block.logWeights };
}

/** The sums over one block of references alone. */
function sumsOver(
  perturbation: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions,
): { sums: PosteriorSums; logWeights: Tensor } {
  const frame = frameOf(perturbation, reference, centre);
  const [batch] = perturbation.clean.shape;
  const { candidates = Math.max(mostCandidates, fewPairs / batch) } = options;
  const allowed = allowedBy(options);
  const { logWeights, squaredDistances } = weigh(frame, allowed, candidates);
  const largest = max(logWeights, 1, true);
  const all = exp(sub(logWeights, largest));
  // Where none counts the largest is that of those that do not.
  const weights = allowed ? where(allowed, all, 0) : all;
  const total = sum(weights, 1, true);
  const sums = {
    largest,
    total,
    weighted: frame.weighted(weights, total),
    squaredDistances: mul(sum(mul(weights, squaredDistances), 1, true), frame.unit ** 2),
    squaredWeights: sum(square(weights), 1, true),
  };
  return { sums, logWeights };
}

/** The sums over the references of both. */
export function mergeSums(a: PosteriorSums, b: PosteriorSums): PosteriorSums {
  const largest = maximum(a.largest, b.largest);
  const [ofA, ofB] = [exp(sub(a.largest, largest)), exp(sub(b.largest, largest))];
  const scaled = (x: Tensor, y: Tensor): Tensor => add(mul(x, ofA), mul(y, ofB));
  return {
    largest,
    total: scaled(a.total, b.total),
    weighted: scaled(a.weighted, b.weighted),
    squaredDistances: scaled(a.squaredDistances, b.squaredDistances),
    squaredWeights: add(mul(a.squaredWeights, square(ofA)), mul(b.squaredWeights, square(ofB))),
  };
}

/** Pairs of differences for each sample, and in a small batch for all of them together, unless told otherwise. */
const mostCandidates = 4;
const fewPairs = 256;

/** Which references count for which sample [B, n], if not all do. */
function allowedBy({ labels, counts }: PosteriorOptions): Tensor | undefined {
  const sameClass = labels && equal(reshape(labels.source, [-1, 1]), reshape(labels.reference, [1, -1]));
  return sameClass && counts ? where(sameClass, counts, constant(0, [], 'bool')) : (sameClass ?? counts);
}

/**
 * The posterior from the sums over all its references. The variance is Σ w |y - source|² - |mean - source|²: measured
 * from the source nothing cancels where the source has almost all of the weight. Of a sample for which no reference
 * counts, all is NaN.
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
 * @param reference     [n, d]; of type uint8 they are pixels u that stand for u / 127.5 - 1
 * @throws ShapeError when the dimensions differ or there are no references, UsageError for an impossible block
 */
export function posterior(perturbation: Perturbation, reference: Tensor, options: PosteriorOptions = {}): Posterior {
  const centre = centreOf(reference, perturbation.clean.dtype);
  return finishPosterior(sumReferences(perturbation, reference, centre, options), centre, perturbation.clean);
}

/**
 * The sums over a reference set, in blocks.
 *
 * @param centre  [1, d], any point amid the data
 * @throws ShapeError when the dimensions differ or there are no references, UsageError for an impossible block
 */
export function sumReferences(
  perturbation: Perturbation,
  reference: Tensor,
  centre: Tensor,
  options: PosteriorOptions = {},
): PosteriorSums {
  const [count, dimension] = reference.shape;
  if (perturbation.clean.shape[1] !== dimension) {
    throw new ShapeError(
      `posterior: samples are ${formatShape(perturbation.clean.shape)}, references ${formatShape(reference.shape)}; the last axis must agree.`,
    );
  }
  if (count === 0) throw new ShapeError('posterior: there must be at least 1 reference, got 0.');
  const { block = 4096 } = options;
  if (!Number.isInteger(block) || block < 1)
    throw new UsageError(`posterior: block must be an integer of at least 1, got ${block}.`);
  const blocks = pieces(count, block).map(([start, end]) => {
    const part = slice(reference, 0, start, end);
    const labels = options.labels && { ...options.labels, reference: slice(options.labels.reference, 0, start, end) };
    const counts = options.counts && slice(options.counts, 1, start, end);
    return sumsOver(perturbation, part, centre, { ...options, labels, counts }).sums;
  });
  return blocks.reduce(mergeSums);
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
 * @returns             targets [B, d]; NaN for a sample for which labels let no reference count
 * @throws ShapeError when the dimensions differ or there are no references
 */
export const stableTarget = (perturbation: Perturbation, reference: Tensor, options: PosteriorOptions = {}): Tensor =>
  stopGradient(posterior(perturbation, reference, options).mean);

import {
  add,
  concat,
  div,
  gather,
  largestIndices,
  log,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  quotient,
  replaceAt,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  sum,
  transpose,
  where,
} from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { pieces, rowsBetween } from './frame.ts';
import type { Frame } from './frame.ts';

/** Far below every log-weight that counts, far above what would overflow. */
export const never = -1e30;

/** Up to this dimension the differences of all pairs take about as much memory as their weights. */
const fewDimensions = 4;

/** Values at a time: 768 KiB of them in float32, which caches hold. */
const fewValues = 3 * 2 ** 16;

/** Values of references that are compared at a time: an eighth of all, but from 768 KiB to 3 MiB. */
const comparedAtATime = (values: number): number => Math.min(4 * fewValues, Math.max(fewValues, values / 8));

/** Values of differences that are taken at a time beside references of so many values. */
const differencesAtATime = (values: number): number => Math.max(fewValues, comparedAtATime(values) / 2);

/** Log-weights and squared distances from the source, in the frame's units [B, n]. */
export interface Weights {
  readonly logWeights: Tensor;
  readonly squaredDistances: Tensor;
}

/**
 * Log-weights of references, ln w_k = -|x - y_k|² / (2 σ²) up to a constant of each sample: here relative to the
 * source, whose own log-weight is 0.
 *
 * One matrix product gives them all, but expanding |x - y|² loses about 1e-7 of |x||y| in float32: tens of nats at
 * σ = 0.002. With x = x₁ + σ z the log-weight is (x₁ - y)·(x₁ - y + 2 σ z) / (-2 σ²), in which nothing cancels when y is
 * near x₁. So it is worked out again in that form for the pairs of a sample and a reference where it matters (see
 * `influence`), `candidates` for each sample on average. Where more count, σ is large beside the distances between
 * images and the product is accurate enough; the exception is more near duplicates of the batch's images than pairs,
 * at a σ below their distances: there the weights among them are rounding, and the target is off by less than they
 * differ. In few dimensions, and where there are no more pairs than that, all are worked out in that form.
 *
 * @param allowed     which references count [B, n], bool; left out: all
 * @param candidates  at least 1
 */
export function weigh(frame: Frame, allowed: Tensor | undefined, candidates: number): Weights {
  const [batch, dimension] = frame.source.shape;
  const [count] = frame.reference.shape;
  const pairs = Math.ceil(candidates * batch);
  const isEveryPair = dimension <= fewDimensions || pairs >= batch * count;
  const { logWeights, squaredDistances } = isEveryPair ? allDifferences(frame) : refined(frame, allowed, pairs);
  return { logWeights: allowed ? where(allowed, logWeights, never) : logWeights, squaredDistances };
}

/** 1 / σ² [B, 1] */
const precisionOf = ({ level }: Frame): Tensor => div(1, square(level));

/** Everything from differences, without a product: [B, n, d] values on the way, some references at a time. */
function allDifferences(frame: Frame): Weights {
  const { exactSource, noise, level, reference, exact } = frame;
  const [batch, dimension] = exactSource.shape;
  const [count] = reference.shape;
  const own = reshape(exactSource, [batch, 1, dimension]);
  const step = reshape(mul(noise, mul(level, 2)), [batch, 1, dimension]);
  const length = dimension <= fewDimensions ? count : Math.ceil(fewValues / (batch * dimension));
  const parts = pieces(count, length).map(([start, end]) => {
    const gap = sub(own, reshape(exact(slice(reference, 0, start, end)), [1, end - start, dimension]));
    return { products: sum(mul(gap, add(gap, step)), 2), squares: sum(square(gap), 2) };
  });
  const products = joined(
    parts.map((each) => each.products),
    1,
  );
  return {
    logWeights: mul(products, mul(precisionOf(frame), -0.5)),
    squaredDistances: joined(
      parts.map((each) => each.squares),
      1,
    ),
  };
}

/** Everything from a product, and the `pairs` pairs that need it from differences. */
function refined(frame: Frame, allowed: Tensor | undefined, pairs: number): Weights {
  const { source, noise, level, reference } = frame;
  const [batch] = source.shape;
  const [count, dimension] = reference.shape;
  const x = add(source, mul(level, noise));
  const precision = precisionOf(frame);
  // References are the first operand: the engine packs the second, which is small. A few at a time stay in its caches.
  const parts = pieces(count, Math.ceil(comparedAtATime(count * dimension) / dimension)).map(([start, end]) => {
    const y = frame.about(rowsBetween(reference, start, end));
    const halfSquares = reshape(mul(rowProducts(y, y), 0.5), [end - start, 1]);
    return {
      product: sub(matmul(y, x, { transposeB: true }), halfSquares),
      ofSource: sub(halfSquares, matmul(y, source, { transposeB: true })),
    };
  });
  const whole = (name: 'product' | 'ofSource'): Tensor => {
    const all = parts.map((each) => each[name]);
    return transpose(joined(all, 0), [1, 0]);
  };
  const sourceHalfSquares = mul(sum(square(source), 1, true), 0.5);
  // (x·y - |y|² / 2) - (x·x₁ - |x₁|² / 2), over σ²
  const ownProduct = sub(sum(mul(x, source), 1, true), sourceHalfSquares);
  const coarse = mul(sub(whole('product'), ownProduct), precision);
  // |x₁ - y|²; only the posterior's variance asks for it.
  const distances = mul(add(whole('ofSource'), sourceHalfSquares), 2);

  // Products are off by some roundings of their terms.
  const length = sqrt(sum(square(x), 1, true));
  const meanHalfSquare = mean(sourceHalfSquares);
  const rounding = source.dtype === 'float64' ? 2 ** -53 : 2 ** -24;
  const error = mul(add(mul(length, sqrt(mul(meanHalfSquare, 2))), meanHalfSquare), 4 * rounding);
  const pool = pairsThatMatter(influence(coarse, mul(error, precision), allowed), pairs);
  const { products, squares } = differencesAt(frame, pool);
  const exact = mul(products, gather(reshape(mul(precision, -0.5), [batch]), pool.samples));
  const replaced = (values: Tensor, by: Tensor): Tensor =>
    reshape(replaceAt(reshape(values, [batch * count]), pool.positions, by), [batch, count]);
  // None of the others of a sample counts more than those do, whatever rounding says.
  const others = maximum(coarse, -never);
  const lowest = neg(max(neg(replaced(others, exact)), 1, true));
  return {
    logWeights: replaced(minimum(coarse, lowest), exact),
    squaredDistances: replaced(maximum(distances, 0), squares),
  };
}

/**
 * How much the target would suffer from the rounding error of a pair's log-weight, as a logarithm: the weight, as far as
 * it is known, times the error or 1.
 *
 * @param coarse  log-weights from the product [B, n]
 * @param error   of them, in nats [B, 1]
 */
function influence(coarse: Tensor, error: Tensor, allowed: Tensor | undefined): Tensor {
  const candidates = allowed ? where(allowed, coarse, never) : coarse;
  const below = sub(candidates, max(candidates, 1, true));
  const bounded = maximum(error, 1e-12);
  const all = add(div(below, add(bounded, 1)), log(div(bounded, add(bounded, 1))));
  return allowed ? where(allowed, all, never) : all;
}

/** Pairs of a sample and a reference, int64 [P] each. */
interface Pairs {
  readonly samples: Tensor;
  readonly references: Tensor;
  /** Where the pair is in a flat [B, n]. */
  readonly positions: Tensor;
}

/** The pairs of largest influence. @param values  [B, n] */
function pairsThatMatter(values: Tensor, pairs: number): Pairs {
  const [batch, count] = values.shape;
  // By references first: the largest of values that grow from one sample to the next would take long to find.
  const found = largestIndices(reshape(transpose(values, [1, 0]), [count * batch]), pairs);
  const references = quotient(found, batch);
  const samples = sub(found, mul(references, batch));
  return { samples, references, positions: add(mul(samples, count), references) };
}

/** For pairs of a sample and a reference, with g = x₁ - y: g·(g + 2 σ z) and |g|², [P] each. */
function differencesAt(
  { exactSource, noise, level, reference, exact }: Frame,
  { samples, references }: Pairs,
): { products: Tensor; squares: Tensor } {
  const [pairs] = samples.shape;
  const [count, dimension] = reference.shape;
  const step = mul(noise, mul(level, 2));
  const parts = pieces(pairs, Math.ceil(differencesAtATime(count * dimension) / dimension)).map(([start, end]) => {
    const rows = slice(samples, 0, start, end);
    const gap = sub(gather(exactSource, rows), exact(gather(reference, slice(references, 0, start, end))));
    return { products: rowProducts(gap, add(gap, gather(step, rows))), squares: rowProducts(gap, gap) };
  });
  return {
    products: joined(
      parts.map((each) => each.products),
      0,
    ),
    squares: joined(
      parts.map((each) => each.squares),
      0,
    ),
  };
}

/** Row by row the inner products of a [m, d] and b [m, d], in one pass over memory: [m]. */
function rowProducts(a: Tensor, b: Tensor): Tensor {
  const [count, dimension] = a.shape;
  const rows = [count, 1, dimension];
  return reshape(matmul(reshape(a, rows), reshape(b, rows), { transposeB: true }), [count]);
}

const joined = (parts: readonly Tensor[], axis: number): Tensor =>
  parts.length === 1 ? parts[0] : concat(parts, axis);

import { add, div, exp, matmul, max, maximum, mul, reshape, square, sub, sum } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Perturbation, PosteriorSums } from './posterior-mean.ts';

/**
 * Takes references of each sample's own into the sums, beside those that all samples share. From x = source + σ z, the
 * log-weight relative to the source is -(|source - y|² + 2 σ z·(source - y)) / (2 σ²), in which nothing cancels.
 *
 * @param own        [B, K, d]
 * @param centre     [1, d], as for the shared references
 * @param logWeight  added to the log-weights of each sample [B]
 */
export function takeOwnReferences(
  sums: PosteriorSums,
  { clean, noise, sigma }: Perturbation,
  own: Tensor,
  centre: Tensor,
  logWeight: Tensor,
): PosteriorSums {
  const [batch, count, dimension] = own.shape;
  const level = reshape(sigma, [batch, 1]);
  const gap = sub(reshape(clean, [batch, 1, dimension]), own);
  const distances = sum(square(gap), 2);
  const alongNoise = reshape(matmul(gap, reshape(noise, [batch, dimension, 1])), [batch, count]);
  const exponent = div(add(mul(distances, 0.5), mul(alongNoise, level)), square(level));
  const logWeights = sub(reshape(logWeight, [batch, 1]), exponent);

  const largest = maximum(sums.largest, max(logWeights, 1, true));
  const decay = exp(sub(sums.largest, largest));
  const block = exp(sub(logWeights, largest));
  // Σ w (y - centre) = Σ w (source - centre) - Σ w (source - y)
  const total = sum(block, 1, true);
  const towards = reshape(matmul(reshape(block, [batch, 1, count]), gap), [batch, dimension]);
  const weighted = sub(mul(total, sub(clean, centre)), towards);
  return {
    largest,
    total: add(mul(sums.total, decay), total),
    weighted: add(mul(sums.weighted, decay), weighted),
    squaredDistances: add(mul(sums.squaredDistances, decay), sum(mul(block, distances), 1, true)),
    squaredWeights: add(mul(sums.squaredWeights, square(decay)), sum(square(block), 1, true)),
  };
}

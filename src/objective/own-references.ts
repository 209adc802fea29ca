import { add, div, exp, matmul, max, mul, reshape, square, sub, sum } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Perturbation } from './frame.ts';
import type { PosteriorSums } from './posterior-mean.ts';

/**
 * The sums over references of each sample's own, to be merged with those over references that all samples share. From
 * x = source + σ z, the log-weight relative to the source is (source - y)·(source - y + 2 σ z) / (-2 σ²), in which nothing
 * cancels.
 *
 * @param own        [B, K, d]
 * @param centre     [1, d], as for the shared references
 * @param logWeight  added to the log-weights of each sample [B]
 */
export function sumOwnReferences(
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

  const largest = max(logWeights, 1, true);
  const weights = exp(sub(logWeights, largest));
  // Σ w (y - centre) = Σ w (source - centre) - Σ w (source - y)
  const total = sum(weights, 1, true);
  const towards = reshape(matmul(reshape(weights, [batch, 1, count]), gap), [batch, dimension]);
  return {
    largest,
    total,
    weighted: sub(mul(total, sub(clean, centre)), towards),
    squaredDistances: sum(mul(weights, distances), 1, true),
    squaredWeights: sum(square(weights), 1, true),
  };
}

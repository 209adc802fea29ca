/** One noisy sample and its posterior over references, by the definition, in float64 with explicit distances. */
export interface NaivePosterior {
  readonly weights: Float64Array;
  readonly mean: Float64Array;
  readonly variance: number;
  readonly effectiveSources: number;
}

/**
 * p(k | x) ∝ exp(-|x - y_k|² / (2 σ²)) for references that `counts` lets in, with x = clean + sigma · noise. Distances
 * are summed from squared differences, so nothing cancels but x - y_k itself.
 */
export function naivePosterior(
  { clean, noise, sigma }: { clean: ArrayLike<number>; noise: ArrayLike<number>; sigma: number },
  references: readonly ArrayLike<number>[],
  counts: (k: number) => boolean = () => true,
): NaivePosterior {
  const dimension = clean.length;
  const logWeights = references.map((y, k) => {
    let distance = 0;
    for (let i = 0; i < dimension; i++) distance += (clean[i] - y[i] + sigma * noise[i]) ** 2;
    return counts(k) ? -distance / (2 * sigma * sigma) : -Infinity;
  });
  const largest = Math.max(...logWeights);
  const unnormalised = logWeights.map((each) => Math.exp(each - largest));
  const total = unnormalised.reduce((a, b) => a + b, 0);
  const weights = Float64Array.from(unnormalised, (each) => each / total);
  const mean = new Float64Array(dimension).map((_, i) => weights.reduce((sum, w, k) => sum + w * references[k][i], 0));
  const variance = weights.reduce(
    (sum, w, k) => sum + w * mean.reduce((distance, each, i) => distance + (references[k][i] - each) ** 2, 0),
    0,
  );
  return { weights, mean, variance, effectiveSources: 1 / weights.reduce((sum, w) => sum + w * w, 0) };
}

/** Rows of a flat [n, d] array. */
export const rowsOf = <T extends Float32Array | Float64Array>(flat: T, dimension: number): T[] =>
  Array.from({ length: flat.length / dimension }, (_, i) => flat.subarray(i * dimension, (i + 1) * dimension) as T);

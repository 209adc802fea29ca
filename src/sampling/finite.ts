import { NonFiniteError } from '../errors.ts';

/*
 * A network whose training diverged gives NaN for every sample, and nothing behind a sampler would notice: NaN is some pixel.
 */

/**
 * @param weights  flat vector
 * @param name     what it is, for the message
 * @throws NonFiniteError that says how many of the weights are NaN or infinite
 */
export function requireFiniteWeights(weights: Float32Array, name = 'weights'): void {
  const first = weights.findIndex((value) => !Number.isFinite(value));
  if (first < 0) return;
  const bad = weights.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
  throw new NonFiniteError(
    `${name}: ${bad} of ${weights.length} are NaN or infinite, the first one ${weights[first]} at ${first}. The training of this network diverged.`,
  );
}

/**
 * @param samples  [seeds.length, sampleSize]
 * @throws NonFiniteError that names the seed of the first sample with NaN or infinity, and says how many there are
 */
export function requireFiniteSamples(samples: Float32Array, seeds: readonly number[]): void {
  const size = samples.length / seeds.length;
  const wrong = [...seeds.keys()].filter((i) => !samples.subarray(i * size, (i + 1) * size).every(Number.isFinite));
  if (wrong.length === 0) return;
  const [first] = wrong;
  const value = samples.subarray(first * size).find((each) => !Number.isFinite(each));
  const others = wrong.length > 1 ? `, and so are ${wrong.length} of the ${seeds.length} drawn with it` : '';
  throw new NonFiniteError(
    `the sample of seed ${seeds[first]} is ${value}${others}: the network gave numbers that are not finite, as one does whose training diverged.`,
  );
}

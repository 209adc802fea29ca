import { concat, constant, slice, mul } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import { posterior } from '../../src/objective/index.ts';
import type { Perturbation } from '../../src/objective/index.ts';
import { compare, largestDifference, numbers } from './check.ts';
import type { Check, Values } from './check.ts';
import type { ParityFile } from './folder.ts';
import { allowedOfTarget, largestOf } from './tolerance.ts';

/**
 * What is added to the coordinates in `posteriorWeights`: small enough that its square does not disturb the distances
 * (1e-6 against 2 sigma², 8e-6 at sigma = 0.002), and a power of two, so that it scales without rounding.
 */
const marker = 2 ** -10;

/**
 * The weights of all references [B, n], which the posterior itself does not return. Reference k gets a further
 * coordinate of its own with the value `marker`, where the sources and the noise have 0: every distance grows by the
 * same amount, so no weight changes, and the posterior mean of these coordinates is marker · w_k.
 *
 * @param markers  a graph input [n, n] for the further coordinates, to be fed with `markersFor(n)`
 */
export function posteriorWeights({ clean, noise, sigma }: Perturbation, reference: Tensor, markers: Tensor): Tensor {
  const [batch, dimension] = clean.shape;
  const [count] = reference.shape;
  const nothing = constant(0, [batch, count]);
  const { mean } = posterior(
    { clean: concat([clean, nothing], 1), noise: concat([noise, nothing], 1), sigma },
    concat([reference, markers], 1),
  );
  return mul(slice(mean, 1, dimension, dimension + count), 1 / marker);
}

/** The further coordinates of n references: `marker` times the unit matrix. */
export function markersFor(count: number): Float32Array {
  const markers = new Float32Array(count * count);
  for (let k = 0; k < count; k++) markers[k * (count + 1)] = marker;
  return markers;
}

/** Effective numbers of sources 1 / sum w² of weights [B, n]. */
export function effectiveSources(weights: Values, batch: number): number[] {
  const values = numbers(weights);
  const count = values.length / batch;
  return Array.from({ length: batch }, (_, row) => {
    let squares = 0;
    for (let k = 0; k < count; k++) squares += values[row * count + k] ** 2;
    return 1 / squares;
  });
}

/** Self-normalised weights [B, n] from log-weights up to a constant of each row, in float64. */
export function softmaxRows(logWeights: ArrayLike<number>, batch: number): Float64Array {
  const count = logWeights.length / batch;
  const weights = new Float64Array(logWeights.length);
  for (let row = 0; row < batch; row++) {
    const start = row * count;
    let largest = -Infinity;
    for (let k = 0; k < count; k++) largest = Math.max(largest, logWeights[start + k]);
    let total = 0;
    for (let k = 0; k < count; k++) total += weights[start + k] = Math.exp(logWeights[start + k] - largest);
    for (let k = 0; k < count; k++) weights[start + k] /= total;
  }
  return weights;
}

/**
 * Compares effective numbers of sources. The reference's own error is that of the number worked out from its float32
 * weights, none where the file leaves out the float64 weights because they are the same.
 */
export function checkEffectiveSources(
  file: ParityFile,
  what: string,
  actual: Values,
  expected: readonly number[],
): Check {
  const float32 = file.get('weights');
  const float64 = file.find('weights_f64') ?? float32;
  const [single, double] = [float32, float64].map(({ data }) => effectiveSources(data, expected.length));
  const measured = largestDifference(single, double);
  return compare(what, actual, expected, allowedOfTarget(measured, largestOf(expected), 'float64'));
}

import { softmax } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import { centreOf } from '../../src/objective/frame.ts';
import { emptySums } from '../../src/objective/index.ts';
import type { Perturbation } from '../../src/objective/index.ts';
import { weighReferences } from '../../src/objective/posterior-mean.ts';
import { compare, largestDifference, numbers } from './check.ts';
import type { Check, Values } from './check.ts';
import type { ParityFile } from './folder.ts';
import { allowedOfTarget, largestOf } from './tolerance.ts';

/**
 * The weights of all references [B, n], which the posterior itself does not return: from the log-weights that it sums.
 *
 * @param reference  [n, d], at most as many as the posterior takes at a time
 */
export function posteriorWeights(perturbation: Perturbation, reference: Tensor): Tensor {
  const [batch, dimension] = perturbation.clean.shape;
  const centre = centreOf(reference, perturbation.clean.dtype);
  const { logWeights } = weighReferences(emptySums(batch, dimension), perturbation, reference, centre);
  return softmax(logWeights);
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

import { sizeOf } from '../graph/index.ts';
import { viewsOf } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import type { StepResult } from './train-step.ts';

/*
 * Infinity and NaN spread to all weights in one step: a run must not go on as if nothing had happened. The training step
 * leaves the state alone when it meets them, and here is what the user is told.
 */

/** Steps in a row that may be left out before the run stops after all: nothing is being learned. */
export const mostSkippedInARow = 100;

/** Whether every loss and the gradient of a step are finite. */
export const isFiniteStep = ({ lossPerSample, gradientNorm }: StepResult): boolean =>
  Number.isFinite(gradientNorm) && lossPerSample.every(Number.isFinite);

/**
 * What went wrong in a step: whose loss is not finite and at which noise level, and the parameter with the worst gradient.
 *
 * @param step      steps taken, this one included
 * @param gradient  of the step, a flat vector
 */
export function describeNonFinite(
  { lossPerSample, sigma, gradientNorm }: StepResult,
  step: number,
  table: ParameterTable,
  gradient: Float32Array,
): string {
  const levels = [...sigma];
  const bad = [...lossPerSample.keys()].filter((sample) => !Number.isFinite(lossPerSample[sample]));
  const [first] = bad;
  const range = (own: readonly number[]): string => `sigma from ${Math.min(...own)} to ${Math.max(...own)}`;
  const others =
    bad.length > 1
      ? `, and so are ${bad.length} of ${lossPerSample.length} losses, ${range(bad.map((sample) => levels[sample]))}`
      : '';
  const what =
    first !== undefined
      ? `the loss of sample ${first} (sigma = ${levels[first]}) is ${lossPerSample[first]}${others}`
      : `the gradient norm is ${gradientNorm}, ${range(levels)}`;
  return `step ${step}: ${what}; ${worstParameter(table, gradient)}`;
}

/** The parameter with the largest share of gradients that are not finite; where there are none, with the largest one. */
function worstParameter(table: ParameterTable, gradient: Float32Array): string {
  let affected = 0;
  let worst = { name: '', share: 0, bad: 0, size: 0, largest: -1 };
  for (const [name, { shape, data }] of viewsOf(table, gradient)) {
    let [bad, largest] = [0, 0];
    for (const value of data) {
      if (!Number.isFinite(value)) bad++;
      else largest = Math.max(largest, Math.abs(value));
    }
    if (bad > 0) affected++;
    const own = { name, share: bad / Math.max(data.length, 1), bad, size: sizeOf(shape), largest };
    if (own.share > worst.share || (own.share === worst.share && own.share === 0 && own.largest > worst.largest))
      worst = own;
  }
  if (affected === 0) return `worst parameter: ${worst.name}, whose gradients reach ${worst.largest.toPrecision(3)}`;
  return (
    `worst parameter: ${worst.name}, ${worst.bad} of its ${worst.size} gradients are NaN or infinite ` +
    `(${affected} of ${table.specs.length} parameters have such)`
  );
}

import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { largestOf } from './tolerance.ts';

/** One comparison of a result with the reference. */
export interface Check {
  /** Name of the tensor or number. */
  readonly what: string;
  /** Largest |a - b|, or another measure of the difference where `what` says so; Infinity when they can't be compared. */
  readonly absolute: number;
  /** `absolute` over max|b|. */
  readonly relative: number;
  /** What `absolute` may be at most. */
  readonly tolerance: number;
  readonly passed: boolean;
}

/** What a checker throws for data that this project does not handle: not a pass, but not a wrong result either. */
export class Unsupported extends Error {
  override name = 'Unsupported';
}

/** What a checker throws for reference data that is not what its manifest says. */
export class BadData extends Error {
  override name = 'BadData';
}

export type Values = ArrayLike<number> | NamedTensor['data'];

/** Values of any tensor as plain numbers. */
export const numbers = (values: Values): ArrayLike<number> =>
  values instanceof BigInt64Array ? Float64Array.from(values, Number) : values;

/** A check from numbers that were worked out elsewhere. `scale` is max|b|. */
export function makeCheck(what: string, absolute: number, scale: number, tolerance: number): Check {
  const error = Number.isNaN(absolute) ? Infinity : absolute;
  const relative = error === 0 ? 0 : error / scale;
  return { what, absolute: error, relative, tolerance, passed: error <= tolerance };
}

/** Compares a result with what is expected by the largest |a - b|. NaN on either side never passes. */
export function compare(
  what: string,
  actual: Values,
  expected: Values,
  tolerance: number | ((largest: number) => number),
): Check {
  const [a, b] = [numbers(actual), numbers(expected)];
  const largest = largestOf(b);
  const limit = typeof tolerance === 'number' ? tolerance : tolerance(largest);
  if (a.length !== b.length) return makeCheck(`${what} (${a.length} values, ${b.length} expected)`, Infinity, 1, limit);
  return makeCheck(what, largestDifference(a, b), largest, limit);
}

/**
 * Compares samples [N, ...] each on its own scale, max|a - b| / max|b| of the sample: for values that grow with the noise
 * level, where a large one would hide all others.
 */
export function compareSamples(what: string, actual: Values, expected: NamedTensor, tolerance: number): Check {
  const [a, b] = [numbers(actual), numbers(expected.data)];
  const size = b.length / expected.shape[0];
  let worst = a.length === b.length ? 0 : Infinity;
  for (let start = 0; start < b.length; start += size) {
    const sample = Array.from({ length: size }, (_, i) => b[start + i]);
    const ours = Array.from({ length: size }, (_, i) => a[start + i]);
    const error = largestDifference(ours, sample) / largestOf(sample);
    if (!(error <= worst)) worst = error;
  }
  return makeCheck(`${what} (relative, each sample)`, worst, 1, tolerance);
}

/** Compares value by value: |a - b| over atol + rtol |b|, of which 1 is the most. */
export function closeCheck(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol, rtol }: { atol: number; rtol: number },
): Check {
  let worst = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / (atol + rtol * Math.abs(expected[i]));
    if (!(error <= worst)) worst = error;
  }
  return makeCheck(`${what} (each, over atol + rtol |b|)`, worst, 1, 1);
}

/** max|a - b|; NaN where there is one. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    const error = Math.abs(a[i] - b[i]);
    if (!(error <= worst)) worst = error;
    if (Number.isNaN(worst)) return NaN;
  }
  return worst;
}

/** Passes when both are the same; for counts and names. */
export const same = (what: string, actual: unknown, expected: unknown): Check => {
  const equal = JSON.stringify(actual) === JSON.stringify(expected);
  return makeCheck(equal ? what : `${what} is ${String(actual)}, not ${String(expected)}`, equal ? 0 : Infinity, 1, 0);
};

/** How much of its tolerance a check has used up: 1 is the limit. */
export const share = ({ absolute, tolerance }: Check): number => (absolute === 0 ? 0 : absolute / tolerance);

/** The check that comes closest to its tolerance, or is farthest beyond. */
export const closest = (checks: readonly Check[]): Check | undefined =>
  checks.reduce<Check | undefined>(
    (worst, check) => (!worst || share(check) > share(worst) ? check : worst),
    undefined,
  );

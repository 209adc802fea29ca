/*
 * How far a result may be from the reference, and why.
 *
 * The manifests hold D, the largest difference between the reference code's float32 run and its float64 run on the same
 * inputs: what rounding does to that computation in one particular order of operations. Ours sums in another order
 * (blocked products, fused kernels, weight gradients as one long product), so its rounding errors are another draw of
 * the same kind: of the size of D, not equal to it, and the largest of many of them scatters by a small factor. A wrong
 * formula, a wrong constant or a lost term is not of that size: it shows at 1e-3 of the value and above, a thousand
 * times more. Hence
 *
 *   against a float64 result    8 D + 8 u max|b|
 *   against a float32 result    9 D + 8 u max|b|     (the reference itself is off by D)
 *
 * u = 2^-24 is the unit roundoff of float32. The second term is there for tensors whose D happens to be almost 0 (three
 * values, a result that is exact in one order of summation): a few roundings of the largest value are always allowed.
 *
 * Stable targets and their weights are judged more tightly, because there the reference's float32 run is inexact by
 * itself: it sums thousands of squared differences of the noisy sample and divides by sigma², so that D is a hundred
 * roundings and more. Ours keeps the noise and the clean sample apart and owes the reader to be closer to float64 than
 * the reference's float32 is:
 *
 *   against a float64 result      D + 32 u max|b|
 *   against a float32 result    2 D + 32 u max|b|
 *
 * 32 u: the relative error of a weight is the absolute error of its logarithm, a few roundings of up to about ten nats.
 */

/** Unit roundoff of float32. */
export const roundoff = 2 ** -24;

/** Ours against the reference's own rounding error. */
export const factor = 8;

/** Roundings of the largest value that are always allowed. */
export const roundings = 8;

/** Which run of the reference the expected values come from. */
export type Origin = 'float32' | 'float64';

/**
 * The largest allowed |a - b|.
 *
 * @param measured  D, the reference's own difference between float32 and float64; 0 where it is exact
 * @param largest   max|b|
 */
export const allowed = (measured: number, largest: number, origin: Origin): number =>
  (factor + (origin === 'float32' ? 1 : 0)) * measured + roundings * roundoff * largest;

/** The largest allowed |a - b| of a stable target or its weights; arguments as for `allowed`. */
export const allowedOfTarget = (measured: number, largest: number, origin: Origin): number =>
  (origin === 'float32' ? 2 : 1) * measured + 4 * roundings * roundoff * largest;

/** For numbers that both sides work out in float64 from the same inputs: a few of its roundings of the largest value. */
export const allowedInFloat64 = (largest: number): number => 16 * 2 ** -53 * largest;

/** Largest absolute value; 0 for no values. */
export function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
}

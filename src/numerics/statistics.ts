import { UsageError } from '../errors.ts';

/**
 * Arithmetic mean, float64. A second pass adds the mean of what is left over, so that a long sum of large values costs
 * no digits. Throws UsageError when there is no value.
 */
export function mean(values: ArrayLike<number>): number {
  requireCount('mean', values, 1);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  const rough = sum / values.length;
  if (!Number.isFinite(rough)) return rough;
  let remainder = 0;
  for (let i = 0; i < values.length; i++) remainder += values[i] - rough;
  return rough + remainder / values.length;
}

/**
 * Standard deviation of a sample, float64: the square root of the sum of squared differences from the mean divided by
 * n - 1. Two passes, so a large mean does not eat the digits. Throws UsageError for fewer than two values.
 */
export function standardDeviation(values: ArrayLike<number>): number {
  requireCount('standardDeviation', values, 2);
  const centre = mean(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - centre) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}

/**
 * Standard deviation of values that are all there are, float64: as `standardDeviation`, but divided by n. 0 for one value.
 * Throws UsageError when there is no value.
 */
export function populationStandardDeviation(values: ArrayLike<number>): number {
  requireCount('populationStandardDeviation', values, 1);
  return values.length === 1 ? 0 : standardDeviation(values) * Math.sqrt((values.length - 1) / values.length);
}

/** Standard error of the mean of independent values: `standardDeviation / sqrt(n)`. Needs at least two values. */
export function standardError(values: ArrayLike<number>): number {
  requireCount('standardError', values, 2);
  return standardDeviation(values) / Math.sqrt(values.length);
}

/** The middle value, or the mean of the two middle ones. Throws UsageError when there is no value or one is NaN. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/**
 * The value below which a fraction of the values lies, with straight lines between neighbours: sorted values are at
 * the fractions i / (n - 1) (type 7 of Hyndman and Fan 1996, the default of NumPy and R).
 *
 * @param values   at least one, none NaN; left unchanged
 * @param fraction in [0, 1]; 0 is the smallest value, 1 the largest
 * @throws UsageError when there is no value, one is NaN, or `fraction` is outside [0, 1]
 */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  requireCount('quantile', values, 1);
  if (!(fraction >= 0 && fraction <= 1)) throw new UsageError(`quantile: fraction must be in [0, 1], got ${fraction}`);
  const sorted = Float64Array.from(values).sort();
  if (Number.isNaN(sorted[sorted.length - 1])) throw new UsageError('quantile: a value is NaN');
  const place = fraction * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below];
  const high = sorted[Math.ceil(place)];
  return low === high ? low : low + (place - below) * (high - low);
}

function requireCount(name: string, values: ArrayLike<number>, least: number): void {
  if (values.length < least)
    throw new UsageError(`${name}: needs at least ${least} ${least === 1 ? 'value' : 'values'}, got ${values.length}`);
}

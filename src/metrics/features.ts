import { NonFiniteError, ShapeError, UsageError } from '../errors.ts';

/** Feature vectors as rows: [N, d]. */
export type Features = Float32Array | Float64Array;

/**
 * How many rows there are.
 *
 * @param what  function and argument, for messages: "kernelDistance: a"
 * @param least rows that are needed
 * @throws UsageError     when `dimension` is not a whole number of at least 1, or there are too few rows
 * @throws ShapeError     when `features` does not hold whole rows
 * @throws NonFiniteError when a value is NaN or infinite
 */
export function requireFeatures(what: string, features: Features, dimension: number, least = 1): number {
  if (!Number.isInteger(dimension) || dimension < 1)
    throw new UsageError(`${what}: dimension must be a whole number of at least 1, got ${dimension}`);
  if (features.length % dimension !== 0) {
    throw new ShapeError(
      `${what} must hold whole rows of ${dimension} ${dimension === 1 ? 'value' : 'values'}, got ${features.length}`,
    );
  }
  const rows = features.length / dimension;
  if (rows < least)
    throw new UsageError(`${what} must have at least ${least} ${least === 1 ? 'row' : 'rows'}, got ${rows}`);
  for (let i = 0; i < features.length; i++) {
    if (!Number.isFinite(features[i]))
      throw new NonFiniteError(`${what}: row ${Math.floor(i / dimension)} has the value ${features[i]}`);
  }
  return rows;
}

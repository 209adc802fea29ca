import { forEachProductRow, squaredLengths } from './row-products.ts';
import type { RowProducts } from './row-products.ts';

/** Sum of squared differences of `length` values from the given places on, in float64. The same for a, b and b, a. */
export function squaredDistance(
  a: Float32Array | Float64Array,
  fromA: number,
  b: Float32Array | Float64Array,
  fromB: number,
  length: number,
): number {
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const difference = a[fromA + i] - b[fromB + i];
    sum += difference * difference;
  }
  return sum;
}

/** Squared distances of one row to all others, from products, and how they are made exact where it matters. */
export interface DistanceRow {
  /** |a_i|^2 + |b_j|^2 - 2 a_i·b_j for all j; may be negative by rounding. */
  readonly rough: Float64Array;
  /** The most that `rough` and `exact` can differ by. */
  readonly error: number;
  /** The squared distance to row j of b from the differences: exactly 0 for equal rows, and symmetric. */
  readonly exact: (j: number) => number;
}

/**
 * Calls `visit` with the squared distances of each row of a to all rows of b. They are made of products, of which the
 * squares cancel for near neighbours; whoever compares them looks at the exact one when the difference is within `error`.
 */
export async function forEachDistanceRow(
  a: Float64Array,
  b: Float64Array,
  dimension: number,
  products: RowProducts,
  visit: (row: number, distances: DistanceRow) => void,
): Promise<void> {
  const [lengthsA, lengthsB] = [a, b].map((rows) => squaredLengths(rows, dimension));
  let longest = 0;
  for (const each of lengthsB) if (each > longest) longest = each;
  await forEachProductRow(a, b, dimension, products, (row, rough) => {
    for (let j = 0; j < rough.length; j++) rough[j] = lengthsA[row] + lengthsB[j] - 2 * rough[j];
    visit(row, {
      rough,
      // Sums of d terms are off by d 2^-53 of the sum of their sizes: S = |a|^2 + |b|^2 for the lengths and as much for the
      // product, and at most 2 S for the exact distance. The 4 are for the roundings of each term and of the three sums.
      error: 2 * (dimension + 4) * 2 ** -52 * (lengthsA[row] + longest),
      exact: (j) => squaredDistance(a, row * dimension, b, j * dimension, dimension),
    });
  });
}

import { ShapeError } from '../errors.ts';
import { squaredDistance } from './squared-distances.ts';

/** Largest difference that two values in [-1, 1] can have. */
const peakToPeak = 2;

/**
 * Peak signal-to-noise ratio of two images with values in [-1, 1], in decibels: 10 log10(2^2 / mean squared error).
 * 20 dB is an error of a tenth of the range (root mean square). Identical images have an infinite ratio.
 *
 * @param a image of any shape
 * @param b image of the same shape
 * @returns dB, at least 0 for values in [-1, 1]; NaN if a value is NaN
 * @throws ShapeError when the images differ in length or are empty
 */
export function psnr(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  if (a.length !== b.length || a.length === 0) {
    throw new ShapeError(`psnr: a and b must be images of one size, got ${a.length} and ${b.length} values`);
  }
  return psnrOfSquaredDistance(squaredDistance(a, 0, b, 0, a.length), a.length);
}

export interface NearestNeighbours {
  /** For each query, the row of the nearest reference; the first of equals. [Q] */
  index: Int32Array;
  /** Peak signal-to-noise ratio of the query to that reference in dB, see `psnr`. [Q] */
  psnr: Float64Array;
}

/**
 * For each query image the reference image nearest to it in the Euclidean distance, which is the one of highest PSNR.
 * A query with NaN is nearest to reference 0 with a PSNR of NaN.
 *
 * @param queries    images [Q, D], values in [-1, 1]
 * @param references images [R, D], R >= 1
 * @param dimension  values of an image, D
 * @throws ShapeError when an array does not hold whole images or there is no reference
 * Cost: Q R D multiplications.
 */
export function nearestNeighbours(
  queries: Float32Array | Float64Array,
  references: Float32Array | Float64Array,
  dimension: number,
): NearestNeighbours {
  if (!Number.isInteger(dimension) || dimension < 1) {
    throw new ShapeError(`nearestNeighbours: dimension must be a whole number of at least 1, got ${dimension}`);
  }
  for (const [name, images] of Object.entries({ queries, references })) {
    if (images.length % dimension !== 0) {
      throw new ShapeError(
        `nearestNeighbours: ${name} must hold whole images of ${dimension} values, got ${images.length} values`,
      );
    }
  }
  if (references.length === 0)
    throw new ShapeError('nearestNeighbours: references must hold at least one image, got none');

  const count = queries.length / dimension;
  const index = new Int32Array(count);
  const ratios = new Float64Array(count);
  for (let q = 0; q < count; q++) {
    let nearest = squaredDistance(queries, q * dimension, references, 0, dimension);
    for (let r = 1; r < references.length / dimension; r++) {
      const distance = squaredDistance(queries, q * dimension, references, r * dimension, dimension);
      if (distance < nearest) {
        nearest = distance;
        index[q] = r;
      }
    }
    ratios[q] = psnrOfSquaredDistance(nearest, dimension);
  }
  return { index, psnr: ratios };
}

/** The ratio in dB for a sum of squared differences over `length` values in [-1, 1]. */
export const psnrOfSquaredDistance = (distance: number, length: number): number =>
  10 * Math.log10(peakToPeak ** 2 / (distance / length));

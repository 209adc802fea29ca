import { NonFiniteError } from '../errors.ts';
import { add, cast, div, maximum, minimum, mul, sub } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/* Between stored pixels 0..255 and values in [-1, 1]: the only home of the two formulas. */

/** Steps of a pixel in a unit of values. */
export const pixelSteps = 127.5;

/** The same as `imageToFloat` in a graph: pixels of any shape, uint8, to values in float32. */
export const pixelsToValues = (pixels: Tensor): Tensor => sub(div(cast(pixels, 'float32'), pixelSteps), 1);

/** The same as `toUint8` in a graph, worked in float32, where NaN and infinity give some pixel. */
export const valuesToPixels = (values: Tensor): Tensor =>
  cast(minimum(maximum(add(mul(values, pixelSteps), 128), 0), 255), 'uint8');

/**
 * Pixels to values, u / 127.5 - 1, in [-1, 1].
 *
 * @param pixels any shape
 * @param out    receives the values; a new array when left out
 * @param offset where the first value goes
 */
export function imageToFloat(
  pixels: Uint8Array,
  out: Float32Array = new Float32Array(pixels.length),
  offset = 0,
): Float32Array {
  for (let i = 0; i < pixels.length; i++) out[offset + i] = pixels[i] / pixelSteps - 1;
  return out;
}

/**
 * Sample value to pixel, value by value: uint8(clip(127.5 x + 128, 0, 255)), where uint8 cuts the fraction off, so
 * that -1 becomes 0, 0 becomes 128 and 1 becomes 255. Karras et al. 2022, `generate.py` of the official code. It is
 * worked in float64 as there, whatever the input's type. Inverse of `imageToFloat`.
 *
 * @param images           values in [-1, 1]; what lies outside is clipped
 * @param elementsPerImage values an image has; only used to name the image in an error
 * @returns pixels 0..255 in the same order; the input is left unchanged
 * @throws NonFiniteError for NaN or infinity: such a sample has no colour
 */
export function toUint8(images: Float32Array | Float64Array, elementsPerImage = images.length): Uint8Array {
  const pixels = new Uint8Array(images.length);
  for (let i = 0; i < images.length; i++) {
    const x = images[i];
    if (!Number.isFinite(x)) {
      const image = Math.floor(i / elementsPerImage);
      throw new NonFiniteError(`images: image ${image} has the value ${x} at its element ${i % elementsPerImage}`);
    }
    pixels[i] = Math.min(Math.max(x * pixelSteps + 128, 0), 255);
  }
  return pixels;
}

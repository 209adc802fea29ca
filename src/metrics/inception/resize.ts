import { cast, constant, div, matmul, mul, sub } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';

/** The resizer in words, for reports. */
export const resizerName = 'bilinear without anti-aliasing (half-pixel centres), pixels to [-1, 1]';

/**
 * Bilinear interpolation along one axis as a matrix [to, from]: output i lies at (i + 0.5) from / to - 0.5, clamped at the
 * first and the last pixel, between its two neighbours. PyTorch's interpolate with mode=bilinear, align_corners=False and
 * no anti-aliasing: where the image becomes smaller, pixels between are skipped.
 */
export function bilinearMatrix(from: number, to: number): Float64Array {
  const matrix = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const position = Math.max(((i + 0.5) * from) / to - 0.5, 0);
    const low = Math.min(Math.floor(position), from - 1);
    const share = Math.min(position - low, 1);
    matrix[i * from + low] += 1 - share;
    matrix[i * from + Math.min(low + 1, from - 1)] += share;
  }
  return matrix;
}

/**
 * Pixels [N, C, H, W] of 0 to 255 as values in [-1, 1] at another size: u / 255 resized, then 2 x - 1, which is the order
 * of the reference.
 *
 * @returns [N, C, height, width], float32
 */
export function resizedValues(pixels: Tensor, [height, width]: readonly [number, number]): Tensor {
  const [, , fromHeight, fromWidth] = pixels.shape;
  const along = (from: number, to: number): Tensor => constant(Float32Array.from(bilinearMatrix(from, to)), [to, from]);
  const unit = div(cast(pixels, 'float32'), 255);
  const wide = fromWidth === width ? unit : matmul(unit, along(fromWidth, width), { transposeB: true });
  const resized = fromHeight === height ? wide : matmul(along(fromHeight, height), wide);
  return sub(mul(resized, 2), 1);
}

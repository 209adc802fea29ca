import { ShapeError } from '../errors.ts';
import { median } from '../numerics/statistics.ts';

/** Median of |z| for a unit normal z. */
const normalMedian = 0.6744897501960817;

/**
 * How noisy each image looks: Donoho and Johnstone's estimate of the standard deviation of white noise, the median
 * magnitude of the finest diagonal Haar coefficients (a - b - c + d) / 2 of each 2 × 2 square, divided by 0.6745
 * (Donoho and Johnstone 1994, Sec. 2). Where an image is smooth these coefficients are small, so what is left is noise; an
 * image of fine texture is taken for a noisy one. An odd last row or column is left out.
 *
 * @param images  [N, channels, height, width]
 * @returns       standard deviations [N] in the units of the pixels
 * @throws ShapeError when `images` does not hold whole images, or they have no 2 × 2 square
 */
export function noiseEstimates(
  images: Float32Array | Float64Array,
  [channels, height, width]: readonly number[],
): Float64Array {
  const size = channels * height * width;
  if (!(channels >= 1 && height >= 2 && width >= 2) || images.length % size !== 0)
    throw new ShapeError(
      `noiseEstimates: needs whole images of at least 2 x 2 pixels, got ${images.length} values of [${channels}, ${height}, ${width}]`,
    );
  const [rows, columns] = [Math.floor(height / 2), Math.floor(width / 2)];
  const details = new Float64Array(channels * rows * columns);
  return Float64Array.from({ length: images.length / size }, (_, i) => {
    let k = 0;
    for (let channel = 0; channel < channels; channel++)
      for (let y = 0; y < 2 * rows; y += 2)
        for (let x = 0; x < 2 * columns; x += 2) {
          const at = i * size + (channel * height + y) * width + x;
          details[k++] = Math.abs(images[at] - images[at + 1] - images[at + width] + images[at + width + 1]) / 2;
        }
    return median(details) / normalMedian;
  });
}

import { UsageError } from '../errors.ts';
import { memoryDataset, sampleSize } from './dataset.ts';
import type { Dataset } from './dataset.ts';

/**
 * Images made smaller by averaging squares of pixels: [C, H, W] becomes [C, H / side, W / side], float32 in [-1, 1]. The
 * whole set is worked out and kept in memory.
 *
 * @param side  pixels of a square's side
 * @throws UsageError when the samples are no images, or their sides are no multiples of `side`
 */
export function averagePooled(dataset: Dataset, side: number): Dataset {
  const { sampleShape, length, classes } = dataset;
  const [channels, height, width] = sampleShape;
  if (sampleShape.length !== 3 || !Number.isInteger(side) || side < 1 || height % side !== 0 || width % side !== 0)
    throw new UsageError(
      `averagePooled: needs images [C, H, W] whose sides are multiples of ${side}, got [${sampleShape.join(', ')}].`,
    );
  const [rows, columns] = [height / side, width / side];
  const size = channels * rows * columns;
  const image = new Float32Array(sampleSize(dataset));
  const sums = new Float64Array(size);
  const data = new Float32Array(length * size);
  for (let i = 0; i < length; i++) {
    dataset.read(i, image, 0);
    sums.fill(0);
    for (let at = 0; at < image.length; at++) {
      const [x, line] = [at % width, Math.floor(at / width)];
      const [y, channel] = [line % height, Math.floor(line / height)];
      sums[(channel * rows + Math.floor(y / side)) * columns + Math.floor(x / side)] += image[at];
    }
    for (let k = 0; k < size; k++) data[i * size + k] = sums[k] / side ** 2;
  }
  return memoryDataset({
    name: `${dataset.name}-${rows}x${columns}`,
    data,
    sampleShape: [channels, rows, columns],
    ...(classes > 0 && { labelled: { labels: Uint32Array.from({ length }, (_, i) => dataset.label(i)), classes } }),
  });
}

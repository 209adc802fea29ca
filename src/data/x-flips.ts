import { UsageError } from '../errors.ts';
import { requireIndex, sampleSize } from './dataset.ts';
import type { Dataset } from './dataset.ts';

/**
 * A data set and, after it, all of its images once more, turned over from left to right: sample `length + i` is the
 * mirror image of sample i, of the same class. Twice the data, where left and right do not matter.
 *
 * @throws UsageError when the samples are no images
 */
export function withXFlips(dataset: Dataset): Dataset {
  const { name, length, sampleShape } = dataset;
  if (sampleShape.length !== 3)
    throw new UsageError(
      `data set "${name}": x-flips are for images, and its samples have the shape [${sampleShape}].`,
    );
  const width = sampleShape[2];
  const size = sampleSize(dataset);
  const flippedName = `${name}-xflip`;
  const original = (index: number): number => {
    requireIndex(flippedName, index, 2 * length);
    return index % length;
  };
  return {
    ...dataset,
    name: flippedName,
    length: 2 * length,
    values: undefined,
    read: (index, out, offset) => {
      dataset.read(original(index), out, offset);
      if (index < length) return;
      for (let row = offset; row < offset + size; row += width) out.subarray(row, row + width).reverse();
    },
    label: (index) => dataset.label(original(index)),
  };
}

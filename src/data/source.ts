import { FormatError, ShapeError, UsageError } from '../errors.ts';
import { copySample, requireIndex, sampleSize } from './dataset.ts';
import type { Dataset } from './dataset.ts';

/**
 * Samples of one's own, from wherever they come: the whole of what training asks of them. `get` is called in any order
 * and may be called again for the same sample, for which it must give the same values.
 */
export interface SampleSource {
  /** Number of samples. */
  readonly length: number;
  /**
   * One sample, 0 to `length` - 1: an image as planes [C, H, W] in a Uint8Array, 0 to 255, or any values in a
   * Float32Array, best of a standard deviation near 0.5. It is copied before the next call.
   */
  get(index: number): Uint8Array | Float32Array;
  /** Class of one sample, 0 to `classes` - 1. Left out: no labels. */
  label?(index: number): number;
}

/**
 * A data set out of a source. The first sample is read at once, which tells its type.
 *
 * @param options.sampleShape  [C, H, W] for images, [d] for points
 * @param options.classes      number of classes; needed when the source has labels
 * @returns a data set that checks every sample and label as it is read
 * @throws UsageError   without samples, or with labels but no number of classes
 * @throws ShapeError   when the first sample does not have the shape's number of values
 */
export function sourceDataset(options: {
  name: string;
  source: SampleSource;
  sampleShape: readonly number[];
  classes?: number;
}): Dataset {
  const { name, source, sampleShape, classes = 0 } = options;
  const { length } = source;
  if (!Number.isInteger(length) || length < 1)
    throw new UsageError(`data set "${name}": length must be an integer of at least 1, got ${length}`);
  if ((source.label !== undefined) !== classes > 0)
    throw new UsageError(
      `data set "${name}": a source with labels needs classes, and one without has 0, got ${classes}`,
    );
  const size = sampleSize({ sampleShape });
  const first = source.get(0);
  const isPixels = first instanceof Uint8Array;
  const checked = (index: number): Uint8Array | Float32Array => {
    const sample = source.get(index);
    if (!(sample instanceof Uint8Array) && !(sample instanceof Float32Array))
      throw new FormatError(`data set "${name}": sample ${index} must be a Uint8Array or a Float32Array`);
    if (sample instanceof Uint8Array !== isPixels)
      throw new FormatError(`data set "${name}": sample ${index} is of another type than sample 0`);
    if (sample.length !== size)
      throw new ShapeError(
        `data set "${name}": sample ${index} has ${sample.length} values, and [${sampleShape.join(', ')}] means ${size}`,
      );
    return sample;
  };
  checked(0);
  return {
    name,
    length,
    sampleShape: [...sampleShape],
    dtype: isPixels ? 'uint8' : 'float32',
    classes,
    read: (index, out, offset) => {
      requireIndex(name, index, length);
      copySample(name, checked(index), out, offset);
    },
    label: (index) => {
      requireIndex(name, index, length);
      const label = source.label?.(index) ?? -1;
      if (classes > 0 && !(Number.isInteger(label) && label >= 0 && label < classes))
        throw new UsageError(`data set "${name}": label ${label} of sample ${index} must be from 0 to ${classes - 1}`);
      return label;
    },
  };
}

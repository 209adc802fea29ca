import { ShapeError, UsageError } from '../errors.ts';
import { imageToFloat } from './pixels.ts';

/**
 * A finite, ordered set of samples. Images are planar, [C, H, W], rows from the top; points are [d].
 * A uint8 value u means u / 127.5 - 1, so that images lie in [-1, 1].
 */
export interface Dataset {
  /** short name for logs and run folders, e.g. "cifar10-train" */
  readonly name: string;
  /** number of samples */
  readonly length: number;
  /** [C, H, W] for images, [d] for points */
  readonly sampleShape: readonly number[];
  /** how the samples are kept */
  readonly dtype: 'uint8' | 'float32';
  /** number of classes; 0 when there are no labels */
  readonly classes: number;
  /** all samples one after the other, where they lie so in memory: not to be written to */
  readonly values?: Uint8Array | Float32Array | undefined;
  /**
   * Copies one sample into `out` from `offset` on. A uint8 sample read into a Float32Array arrives as u / 127.5 - 1.
   * Throws UsageError for an index outside the set, ShapeError when `out` is too short or a float32 sample is read into
   * a Uint8Array.
   */
  read(index: number, out: Uint8Array | Float32Array, offset: number): void;
  /** Class of one sample, 0 to `classes` - 1; -1 when there are no labels. Throws UsageError outside the set. */
  label(index: number): number;
}

/** Values in one sample: the product of `sampleShape`. */
export function sampleSize(dataset: Pick<Dataset, 'sampleShape'>): number {
  return dataset.sampleShape.reduce((product, extent) => product * extent, 1);
}

/** The labels of a data set in memory: all of them, and of how many classes. */
export interface Labels {
  /** [length], 0 to `classes` - 1 */
  labels: ArrayLike<number>;
  classes: number;
}

/**
 * A data set over an array in memory, which is not copied.
 *
 * @param options.data        [N, ...sampleShape]; its type gives the dtype
 * @param options.sampleShape [C, H, W] or [d]
 * @param options.labelled    labels and number of classes, or nothing
 * @throws ShapeError when `data` is not a whole number of samples or there is not one label a sample
 * @throws UsageError when a label is outside 0 .. classes-1
 */
export function memoryDataset(options: {
  name: string;
  data: Uint8Array | Float32Array;
  sampleShape: readonly number[];
  labelled?: Labels;
}): Dataset {
  const { name, data, sampleShape, labelled } = options;
  const size = sampleSize({ sampleShape });
  if (!(size >= 1) || data.length % size !== 0)
    throw new ShapeError(
      `data set "${name}": ${data.length} values are not a whole number of samples [${sampleShape}]`,
    );
  const length = data.length / size;
  if (labelled) checkLabels(name, labelled, length);
  return {
    name,
    length,
    sampleShape: [...sampleShape],
    dtype: data instanceof Uint8Array ? 'uint8' : 'float32',
    classes: labelled?.classes ?? 0,
    values: data,
    read(index, out, offset) {
      requireIndex(name, index, length);
      copySample(name, data.subarray(index * size, (index + 1) * size), out, offset);
    },
    label(index) {
      requireIndex(name, index, length);
      return labelled?.labels[index] ?? -1;
    },
  };
}

/**
 * A data set of points.
 *
 * @param options.points    [N, dimension], not copied
 * @param options.labelled  labels and number of classes, or nothing
 * @throws ShapeError       when `points` is not a whole number of points
 */
export function pointDataset(options: {
  name: string;
  points: Float32Array;
  dimension: number;
  labelled?: Labels;
}): Dataset {
  const { points, dimension, ...rest } = options;
  return memoryDataset({ ...rest, data: points, sampleShape: [dimension] });
}

/**
 * Some samples of a data set, in the order given; an index may come more than once. Nothing is copied but the indices.
 *
 * @param indices which samples
 * @param name    name of the result; by default the set's name and the number of samples
 * @throws UsageError for an index outside the set
 */
export function subset(dataset: Dataset, indices: ArrayLike<number>, name?: string): Dataset {
  const chosen = Uint32Array.from(indices);
  for (let i = 0; i < chosen.length; i++) requireIndex(dataset.name, indices[i], dataset.length);
  const subsetName = name ?? `${dataset.name}-${chosen.length}`;
  const at = (index: number) => {
    requireIndex(subsetName, index, chosen.length);
    return chosen[index];
  };
  return {
    name: subsetName,
    length: chosen.length,
    sampleShape: dataset.sampleShape,
    dtype: dataset.dtype,
    classes: dataset.classes,
    read: (index, out, offset) => dataset.read(at(index), out, offset),
    label: (index) => dataset.label(at(index)),
  };
}

/** Throws UsageError, naming the data set, unless `index` is an integer from 0 to `length` - 1. */
export function requireIndex(name: string, index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length)
    throw new UsageError(`data set "${name}": sample ${index} does not exist; it has ${length}, counted from 0`);
}

/**
 * The `read` of a `Dataset`: copies a stored sample into `out`, turning pixels into values on the way to a
 * Float32Array. Throws ShapeError when it does not fit.
 */
export function copySample(
  name: string,
  sample: Uint8Array | Float32Array,
  out: Uint8Array | Float32Array,
  offset: number,
): void {
  if (!(offset >= 0) || offset + sample.length > out.length)
    throw new ShapeError(
      `data set "${name}": ${sample.length} values from ${offset} on do not fit in an array of ${out.length}`,
    );
  if (sample instanceof Float32Array && out instanceof Uint8Array)
    throw new ShapeError(`data set "${name}" holds float32 values; read them into a Float32Array, not a Uint8Array`);
  if (sample instanceof Uint8Array && out instanceof Float32Array) imageToFloat(sample, out, offset);
  else out.set(sample, offset);
}

function checkLabels(name: string, { labels, classes }: Labels, length: number): void {
  if (labels.length !== length)
    throw new ShapeError(`data set "${name}": ${length} samples need as many labels, got ${labels.length}`);
  for (let i = 0; i < length; i++) {
    const label = labels[i];
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new UsageError(`data set "${name}": label ${label} of sample ${i} must be from 0 to ${classes - 1}`);
  }
}

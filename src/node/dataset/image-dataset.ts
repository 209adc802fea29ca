import { freemem } from 'node:os';
import { copySample, memoryDataset, requireIndex } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { toPlanes } from '../../data/picture-transforms.ts';
import { FormatError, UsageError } from '../../errors.ts';
import { decodePngImage, isPngPath } from './image-file.ts';
import type { ImageItem, ImageSource } from './image-source.ts';

export interface ImageDatasetOptions {
  /** The first pictures only. */
  readonly maxImages?: number | undefined;
  /** Memory that decoded pictures may take; by default half of what is free, and no more than fits in one array. */
  readonly memoryBytes?: number | undefined;
  /** Data sets that share this memory when the pictures do not fit in it, each with a cache of its own. 1 when left out. */
  readonly readers?: number | undefined;
}

/** Bytes of the largest array of Node 20. */
const largestArray = 2 ** 32 - 1;

/** Memory for decoded pictures where nobody says how much: half of what is free. */
export const defaultMemoryBytes = (): number => Math.min(Math.floor(freemem() / 2), largestArray);

/**
 * A data set for training over PNG pictures of one size, as `convertImages` and EDM's tool write them. Where the decoded
 * pictures fit in memory they are decoded at once; else each is decoded when it is asked for, and as many as fit are kept,
 * those that were used last. Values are the same either way.
 *
 * @returns uint8 images [C, H, W], with labels when every picture has one
 * @throws UsageError  when a picture is no PNG file or not square
 * @throws FormatError when a picture is damaged, of another size than the first or not plain grey or RGB of 8 bits; of a
 *                     set that does not fit in memory, when it is read
 */
export function imageDataset(source: ImageSource, options: ImageDatasetOptions = {}): Dataset {
  const { name, length, sampleShape, labels, classes, decode } = describe(source, options.maxImages);
  const size = sampleShape.reduce((product, extent) => product * extent, 1);
  const { memoryBytes = defaultMemoryBytes(), readers = 1 } = options;
  if (length * size <= Math.min(memoryBytes, largestArray)) {
    // Which threads that load data can read as well.
    const data = new Uint8Array(new SharedArrayBuffer(length * size));
    for (let i = 0; i < length; i++) data.set(decode(i), i * size);
    source.close();
    return memoryDataset({ name, data, sampleShape, ...(classes > 0 && { labelled: { labels, classes } }) });
  }
  const cached = lastUsed(Math.floor(memoryBytes / readers / size), decode);
  return {
    name,
    length,
    sampleShape,
    dtype: 'uint8',
    classes,
    read: (index, out, offset) => {
      requireIndex(name, index, length);
      copySample(name, cached(index), out, offset);
    },
    label: (index) => {
      requireIndex(name, index, length);
      return classes > 0 ? labels[index] : -1;
    },
  };
}

/** What a data set is, from its first picture and its labels, without reading the others. */
export function describe(
  source: ImageSource,
  maxImages: number | undefined,
): Pick<Dataset, 'name' | 'length' | 'sampleShape' | 'classes'> & {
  labels: Uint32Array;
  decode: (index: number) => Uint8Array;
} {
  const { name } = source;
  const length = Math.min(source.length, maxImages ?? source.length);
  const first = decodeItem(source.item(0));
  const { width, height, channels } = first;
  if (width !== height)
    throw new UsageError(
      `${source.item(0).path} has ${width} x ${height} pixels, and pictures to train on must be square: stf dataset convert --transform center-crop --resolution N makes them so.`,
    );
  const labels = new Uint32Array(length);
  let classes = 0;
  let isLabelled = true;
  for (let i = 0; i < source.length && isLabelled; i++) {
    const { label } = source.item(i);
    isLabelled = label !== null;
    if (label === null) continue;
    if (i < length) labels[i] = label;
    classes = Math.max(classes, label + 1);
  }
  const decode = (index: number): Uint8Array => {
    const item = source.item(index);
    const picture = decodeItem(item);
    if (picture.width !== width || picture.height !== height || picture.channels !== channels)
      throw new FormatError(
        `${item.path}: ${picture.width} x ${picture.height} x ${picture.channels}, and the first picture is ${width} x ${height} x ${channels}. stf dataset check lists all of them.`,
      );
    return toPlanes(picture);
  };
  return { name, length, sampleShape: [channels, height, width], labels, classes: isLabelled ? classes : 0, decode };
}

function decodeItem(item: ImageItem) {
  if (!item.read || !isPngPath(item.path))
    throw new UsageError(
      `${item.path} is no PNG file, and pictures to train on must be: stf dataset convert makes an archive of them.`,
    );
  const { picture, faults } = decodePngImage(item.read(), item.path);
  if (faults.length > 0)
    throw new FormatError(`${item.path}: ${faults.join(', ')}. stf dataset convert --convert rgb mends it.`);
  return picture;
}

/** Keeps the results for the `capacity` arguments that were used last. */
function lastUsed<T>(capacity: number, make: (key: number) => T): (key: number) => T {
  const kept = new Map<number, T>();
  return (key) => {
    const value = kept.get(key) ?? make(key);
    // A Map keeps its order of insertion: what is used goes to the end.
    kept.delete(key);
    kept.set(key, value);
    if (kept.size > capacity) kept.delete(kept.keys().next().value!);
    return value;
  };
}

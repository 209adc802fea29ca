import { FormatError, ShapeError } from '../errors.ts';
import type { PngImage } from '../formats/png.ts';
import { copySample, requireIndex, type Dataset } from './dataset.ts';

/**
 * CIFAR-10 (Krizhevsky 2009) in its official binary form: six files of 10,000 records, each one label byte followed by
 * 3072 pixel bytes: the red, the green and the blue plane of a 32 x 32 image, row by row from the top.
 */
export const cifar10 = {
  classNames: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
  sampleShape: [3, 32, 32],
  /** images in one batch file */
  batchImages: 10_000,
  /** bytes of one batch file */
  batchBytes: 10_000 * 3073,
} as const;

export type Cifar10Split = 'train' | 'test';

/** One of the six files. */
export interface Cifar10Batch {
  /** file name in the official archive, without its folder */
  file: string;
  split: Cifar10Split;
  sha256: string;
}

/**
 * The six files in their order. The SHA-256 values were measured on files whose MD5 and SHA-1 are, for all six, the
 * ones published for the official binary distribution (batch 1: MD5 5dd7e06a14cb22eb9f671a540d1b7c25, SHA-1
 * aadd24acce27caa71bf4b10992e9e7b2d74c2540).
 */
export const cifar10Batches: readonly Cifar10Batch[] = [
  {
    file: 'data_batch_1.bin',
    split: 'train',
    sha256: 'cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5',
  },
  {
    file: 'data_batch_2.bin',
    split: 'train',
    sha256: 'a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed',
  },
  {
    file: 'data_batch_3.bin',
    split: 'train',
    sha256: 'bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67',
  },
  {
    file: 'data_batch_4.bin',
    split: 'train',
    sha256: '014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48',
  },
  {
    file: 'data_batch_5.bin',
    split: 'train',
    sha256: '755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add',
  },
  { file: 'test_batch.bin', split: 'test', sha256: '8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b' },
];

const pixelsPerPlane = 32 * 32;
const imageBytes = 3 * pixelsPerPlane;
const recordBytes = 1 + imageBytes;

/** Throws FormatError, naming the file, unless the bytes can be a batch: the exact length, and labels from 0 to 9. */
export function checkCifar10Batch(bytes: Uint8Array, file: string): void {
  if (bytes.length !== cifar10.batchBytes)
    throw new FormatError(
      `${file}: a CIFAR-10 batch has ${cifar10.batchBytes} bytes (10,000 images of 3073), found ${bytes.length}`,
    );
  for (let record = 0; record < cifar10.batchImages; record++) {
    const label = bytes[record * recordBytes];
    if (label >= cifar10.classNames.length)
      throw new FormatError(`${file}: image ${record} has label ${label}; labels of CIFAR-10 are 0 to 9`);
  }
}

/**
 * A data set over official binary batches, which are kept as they are (30 MB each) and not copied.
 *
 * @param batches the bytes of the files of a split, in order: five for "train" (50,000 images), one for "test" (10,000)
 * @param name    name of the set
 * @returns       uint8 images [3, 32, 32] with ten classes
 * @throws FormatError when a batch has another length or an impossible label
 */
export function cifar10Dataset(batches: readonly Uint8Array[], name: string): Dataset {
  batches.forEach((bytes, i) => checkCifar10Batch(bytes, `${name}, batch ${i + 1}`));
  const length = batches.length * cifar10.batchImages;
  /** The record's bytes from `from` up to `to`; the label is byte 0. */
  const recordPart = (index: number, from: number, to: number): Uint8Array => {
    requireIndex(name, index, length);
    const start = (index % cifar10.batchImages) * recordBytes;
    return batches[Math.floor(index / cifar10.batchImages)].subarray(start + from, start + to);
  };
  return {
    name,
    length,
    sampleShape: cifar10.sampleShape,
    dtype: 'uint8',
    classes: cifar10.classNames.length,
    read: (index, out, offset) => copySample(name, recordPart(index, 1, recordBytes), out, offset),
    label: (index) => recordPart(index, 0, 1)[0],
  };
}

/**
 * Rebuilds an official binary batch from a sheet in which each row of 1024 pixels is one 32 x 32 image, row by row, with
 * the channels of a pixel side by side.
 *
 * @param sheet  1024 x 10000 pixels, 3 channels
 * @param labels 10,000 classes, 0 to 9
 * @param file   name of the sheet, for the message
 * @returns      the batch's 30,730,000 bytes
 * @throws FormatError when the sheet has another size, ShapeError when there is not one label an image
 */
export function cifar10BatchFromSheet(
  sheet: PngImage,
  labels: ArrayLike<number>,
  file: string,
): Uint8Array<ArrayBuffer> {
  const { width, height, channels, data } = sheet;
  if (width !== pixelsPerPlane || height !== cifar10.batchImages || channels !== 3)
    throw new FormatError(
      `${file}: a CIFAR-10 sheet has 1024 x 10000 pixels and 3 channels, found ${width} x ${height} and ${channels}`,
    );
  if (labels.length !== height)
    throw new ShapeError(`${file}: ${height} images need as many labels, got ${labels.length}`);
  const batch = new Uint8Array(cifar10.batchBytes);
  let pixel = 0;
  for (let image = 0; image < height; image++) {
    const record = image * recordBytes;
    batch[record] = labels[image]!;
    const red = record + 1;
    const green = red + pixelsPerPlane;
    const blue = green + pixelsPerPlane;
    for (let place = 0; place < pixelsPerPlane; place++) {
      batch[red + place] = data[pixel++]!;
      batch[green + place] = data[pixel++]!;
      batch[blue + place] = data[pixel++]!;
    }
  }
  return batch;
}

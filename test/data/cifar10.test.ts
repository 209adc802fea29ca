import { describe, expect, test } from 'vitest';
import { cifar10, cifar10BatchFromSheet, cifar10Batches, cifar10Dataset } from '../../src/data/cifar10.ts';
import { FormatError, ShapeError } from '../../src/errors.ts';

/** Byte i of a made-up file; the multiplier is prime, so that neighbouring rows, planes and images differ. */
const byteAt = (i: number) => (i * 7919) % 251;

function batch(firstLabel: number): Uint8Array {
  const bytes = Uint8Array.from({ length: cifar10.batchBytes }, (_, i) => byteAt(i + firstLabel));
  for (let record = 0; record < 10_000; record++) bytes[record * 3073] = (firstLabel + record) % 10;
  return bytes;
}

describe('official batches', () => {
  const dataset = cifar10Dataset([batch(0), batch(5)], 'two batches');

  test('are a data set of 32 x 32 images with ten classes', () => {
    expect(dataset).toMatchObject({ length: 20_000, sampleShape: [3, 32, 32], dtype: 'uint8', classes: 10 });
    expect([0, 13, 9_999, 10_000, 19_999].map((i) => dataset.label(i))).toEqual([0, 3, 9, 5, 4]);
  });

  test('an image is the 3072 bytes behind its label', () => {
    const pixels = new Uint8Array(3072);
    dataset.read(12_345, pixels, 0);
    const start = 2345 * 3073 + 1;
    expect([pixels[0], pixels[1], pixels[1024], pixels[3071]]).toEqual(
      [start, start + 1, start + 1024, start + 3071].map((i) => byteAt(i + 5)),
    );
    const values = new Float32Array(3072);
    dataset.read(12_345, values, 0);
    expect(values[3071]).toBe(Math.fround(pixels[3071] / 127.5 - 1));
  });

  test('a truncated file and an impossible label are refused by name', () => {
    const bytes = batch(0);
    expect(() => cifar10Dataset([bytes.subarray(1)], 'cut')).toThrow(
      'cut, batch 1: a CIFAR-10 batch has 30730000 bytes (10,000 images of 3073), found 30729999',
    );
    bytes[77 * 3073] = 10;
    expect(() => cifar10Dataset([bytes], 'odd')).toThrow(FormatError);
    expect(() => cifar10Dataset([bytes], 'odd')).toThrow('odd, batch 1: image 77 has label 10');
    expect(() => dataset.label(20_000)).toThrow('sample 20000 does not exist; it has 20000');
  });

  test('there are five for training and one for testing, each with its own hash', () => {
    expect(cifar10Batches.map(({ split }) => split)).toEqual(['train', 'train', 'train', 'train', 'train', 'test']);
    expect(new Set(cifar10Batches.map(({ sha256 }) => sha256)).size).toBe(6);
    for (const { sha256 } of cifar10Batches) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('a sheet', () => {
  const data = Uint8Array.from({ length: 10_000 * 3072 }, (_, i) => byteAt(i));
  const sheet = { width: 1024, height: 10_000, channels: 3 as const, data };
  const labels = Uint8Array.from({ length: 10_000 }, (_, i) => (3 * i) % 10);

  test('becomes a batch: label, then the planes', () => {
    const bytes = cifar10BatchFromSheet(sheet, labels, 'sheet.png');
    expect(bytes).toHaveLength(30_730_000);
    for (const [image, y, x] of [
      [0, 0, 0],
      [1, 0, 31],
      [4321, 17, 5],
      [9999, 31, 31],
    ] as const) {
      expect(bytes[image * 3073]).toBe((3 * image) % 10);
      // In the sheet the order is image, row, column, channel; in the batch image, channel, row, column.
      for (const channel of [0, 1, 2])
        expect(bytes[image * 3073 + 1 + channel * 1024 + y * 32 + x]).toBe(
          byteAt(image * 3072 + (y * 32 + x) * 3 + channel),
        );
    }
  });

  test('of another size, or with another number of labels, is refused', () => {
    expect(() => cifar10BatchFromSheet({ ...sheet, width: 512 }, labels, 'sheet.png')).toThrow(FormatError);
    expect(() => cifar10BatchFromSheet(sheet, labels.subarray(1), 'sheet.png')).toThrow(ShapeError);
  });
});

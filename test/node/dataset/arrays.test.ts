import { gzipSync } from 'node:zlib';
import { createTar } from 'nanotar';
import { describe, expect, test } from 'vitest';
import { FormatError, UsageError } from '../../../src/errors.ts';
import { readCifar10, readMnist } from '../../../src/node/dataset/labelled-arrays.ts';
import { readPointFile } from '../../../src/node/dataset/point-file.ts';
import { scratch } from './support.ts';

const box = scratch();

/* Pickles by hand, as Python 2 writes them in protocol 2: the operations of pickletools. */
const int32 = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >> 24) & 0xff,
];
const text = (value: string): number[] => [0x55, value.length, ...Buffer.from(value)]; // SHORT_BINSTRING
const global = (module: string, name: string): number[] => [0x63, ...Buffer.from(`${module}\n${name}\n`)];
const small = (value: number): number[] => [0x4b, value]; // BININT1
const tuple = (...items: number[][]): number[] => [0x28, ...items.flat(), 0x74];

/** numpy's way to keep [rows, 3072] bytes: an empty array, and a state that is set on it. */
function pickledBatch(pixels: Uint8Array, labels: readonly number[]): Uint8Array {
  const empty = [
    ...global('numpy.core.multiarray', '_reconstruct'),
    ...tuple(global('numpy', 'ndarray'), tuple(small(0)), text('b')),
    0x52, // REDUCE
  ];
  const dtype = [
    ...global('numpy', 'dtype'),
    ...tuple(text('u1'), small(0), small(1)),
    0x52,
    ...tuple(small(3), text('|'), [0x4e], [0x4e], [0x4e], [0x4a, ...int32(-1)], [0x4a, ...int32(-1)], small(0)),
    0x62, // BUILD
  ];
  const shape = tuple([0x4a, ...int32(labels.length)], [0x4a, ...int32(3072)]);
  const bytes = [0x54, ...int32(pixels.length), ...pixels]; // BINSTRING
  const array = [...empty, ...tuple(small(1), shape, dtype, [0x89], bytes), 0x62];
  const list = [0x5d, 0x28, ...labels.flatMap(small), 0x65];
  return Uint8Array.from([0x80, 2, 0x7d, 0x28, ...text('data'), ...array, ...text('labels'), ...list, 0x75, 0x2e]);
}

describe('CIFAR-10', () => {
  const images = 2;
  const pixelsOf = (batch: number) => Uint8Array.from({ length: images * 3072 }, (_, i) => (i * 7 + batch * 50) & 0xff);
  const archive = (batches: Uint8Array[]) =>
    gzipSync(createTar(batches.map((data, i) => ({ name: `cifar-10-batches-py/data_batch_${i + 1}`, data }))));
  const batches = [1, 2, 3, 4, 5].map((batch) => pickledBatch(pixelsOf(batch), [batch, 9 - batch]));

  test('the Python archive: pixels and labels of all five batches in order', async () => {
    const dataset = await readCifar10(box.put('cifar-10-python.tar.gz', archive(batches)), { images });
    expect(dataset).toMatchObject({ length: 10, sampleShape: [3, 32, 32], classes: 10 });
    expect(Array.from({ length: 10 }, (_, i) => dataset.label(i))).toEqual([1, 8, 2, 7, 3, 6, 4, 5, 5, 4]);
    const image = new Uint8Array(3072);
    dataset.read(7, image, 0);
    expect(image).toEqual(pixelsOf(4).subarray(3072));
  });

  test('what is missing, cut off or impossible is refused', async () => {
    const read = (bytes: Uint8Array) => readCifar10(box.put('cifar-10-python.tar.gz', bytes), { images });
    await expect(read(archive(batches.slice(0, 4)))).rejects.toThrow(/has no file data_batch_5/);
    await expect(read(archive(batches).subarray(0, 500))).rejects.toThrow(FormatError);
    await expect(read(archive([...batches.slice(0, 4), pickledBatch(pixelsOf(5), [1, 10])]))).rejects.toThrow(/0 to 9/);
    await expect(
      read(archive([...batches.slice(0, 4), pickledBatch(pixelsOf(5).subarray(1), [1, 2])])),
    ).rejects.toThrow(FormatError);
  });
});

describe('MNIST', () => {
  const header = (...extents: number[]) => [
    0,
    0,
    8,
    extents.length,
    ...extents.flatMap((n) => [0, 0, n >> 8, n & 0xff]),
  ];
  const pixels = Uint8Array.from({ length: 2 * 28 * 28 }, (_, i) => (i % 255) + 1);
  const images = Uint8Array.of(...header(2, 28, 28), ...pixels);
  const labels = Uint8Array.of(...header(2), 4, 9);

  test.each([
    ['.gz', gzipSync],
    ['', (bytes: Uint8Array) => bytes],
  ])('idx files%s: padded by two black pixels on every side', async (ending, pack) => {
    box.put(`train-labels-idx1-ubyte${ending}`, pack(labels));
    const dataset = await readMnist(box.put(`train-images-idx3-ubyte${ending}`, pack(images)));
    expect(dataset).toMatchObject({ length: 2, sampleShape: [1, 32, 32], classes: 10 });
    expect([dataset.label(0), dataset.label(1)]).toEqual([4, 9]);
    const image = new Uint8Array(32 * 32);
    dataset.read(1, image, 0);
    const rows = Array.from({ length: 32 }, (_, y) => image.subarray(y * 32, (y + 1) * 32));
    expect(image.filter((value) => value > 0)).toEqual(pixels.subarray(784));
    expect([0, 1, 30, 31].flatMap((y) => [...rows[y]]).every((value) => value === 0)).toBe(true);
    expect(rows.every((row) => [row[0], row[1], row[30], row[31]].every((value) => value === 0))).toBe(true);
  });

  test('without labels, or with too few, it is refused', async () => {
    const path = box.put('train-images-idx3-ubyte', images);
    await expect(readMnist(path)).rejects.toThrow(UsageError);
    box.put('train-labels-idx1-ubyte', Uint8Array.of(...header(1), 4));
    await expect(readMnist(path)).rejects.toThrow(/2 images need as many labels/);
  });
});

describe('points', () => {
  test('a table with a column of labels; y is a coordinate', () => {
    const dataset = readPointFile(box.put('my points.csv', 'x,y,label\n1,2,0\n3,4,1\n5,6,1\n'));
    expect(dataset).toMatchObject({ name: 'my points', length: 3, sampleShape: [2], dtype: 'float32', classes: 2 });
    const point = new Float32Array(2);
    dataset.read(2, point, 0);
    expect([...point]).toEqual([5, 6]);
    expect([0, 1, 2].map((i) => dataset.label(i))).toEqual([0, 1, 1]);
  });

  test('what are no points is refused by name', () => {
    expect(() => readPointFile(box.put('a.csv', 'x,label\n1,0.5\n'))).toThrow(/a\.csv: label 0\.5 of point 0/);
    expect(() => readPointFile(box.put('a.npy', 'nothing'))).toThrow(FormatError);
    expect(() => readPointFile(box.path('missing.csv'))).toThrow(UsageError);
  });
});

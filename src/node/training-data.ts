import { cifar10, cifar10Batches } from '../data/cifar10.ts';
import { subset } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { toyDataset, toyDimensions, toyKindOf, toyKinds, toyName } from '../data/toy.ts';
import { withXFlips } from '../data/x-flips.ts';
import { UsageError } from '../errors.ts';
import type { TrainingOptions } from '../training/index.ts';
import { loadCifar10 } from './cifar10.ts';
import { defaultMemoryBytes } from './dataset/image-dataset.ts';
import type { ImageDatasetOptions } from './dataset/image-dataset.ts';
import { nameFromPath } from './dataset/image-source.ts';
import { isPointPath } from './dataset/point-file.ts';
import { inspectData, isDataPath, loadDataFile } from './dataset/training-file.ts';
import { inSharedMemory } from './loader/worker-samples.ts';
import type { WorkerSamples } from './loader/worker-samples.ts';

export type DataOptions = TrainingOptions['data'];

/** What the network has to fit to, known without reading anything. */
export interface DataShape {
  /** Shape of one sample. */
  readonly sampleShape: readonly number[];
  /** Number of classes; 0 without labels. */
  readonly classes: number;
  /** Samples that there are at most; for points, as many as one likes. */
  readonly length: number;
}

/** Name of a data set on the command line and in names of folders: `cifar10`, `eight-gaussians`. */
export function dataName(data: DataOptions): string {
  if (data.kind === 'cifar10') return 'cifar10';
  return data.kind === 'toy' ? toyName(data.name) : nameFromPath(data.path).replaceAll(/[^A-Za-z0-9_]+/g, '-');
}

/** Whether the samples are points, not images. */
export const isPoints = (data: DataOptions): boolean => dataShape(data).sampleShape.length === 1;

/** The data set that a word on the command line means, a name or a path; `toy` are the settings of a toy set. */
export function namedData(word: string, toy: DataOptions & { kind: 'toy' }): DataOptions {
  const kind = toyKindOf(word);
  if (kind !== undefined) return { ...toy, name: kind, dimension: toyDimensions[kind] ?? toy.dimension };
  if (word === 'cifar10') return { kind: 'cifar10', maxImages: null };
  if (isDataPath(word)) return inspectData(word);
  throw new UsageError(
    `--data: unknown value "${word}". Choose one of: ${dataNames.join(', ')}; or give the path of a folder or .zip of pictures, or of a .npy, .npz or .csv with points.`,
  );
}

/** All names of data sets that can be trained on. */
export const dataNames: readonly string[] = ['cifar10', ...toyKinds.map(toyName)];

/** Shape of the samples, number of classes and length of a data set. */
export function dataShape(data: DataOptions): DataShape {
  if (data.kind === 'file') return data;
  if (data.kind === 'cifar10') {
    const batches = cifar10Batches.filter(({ split }) => split === 'train').length;
    const { sampleShape, classNames, batchImages } = cifar10;
    return { sampleShape, classes: classNames.length, length: batches * batchImages };
  }
  const { sampleShape, classes } = toyDataset(data.name, { length: 1, seed: 0, dimension: data.dimension });
  return { sampleShape, classes, length: Infinity };
}

/**
 * The data set a run trains on. Toy points are drawn with the run's seed; CIFAR-10 comes from the cache, every file
 * verified; the user's own data are read from their file.
 *
 * @throws UsageError   when CIFAR-10 is not in the cache, with the command that fetches it, or is shorter than asked for
 * @throws FormatError  when a file of it is truncated or altered
 */
export async function loadTrainingData({ data, xFlip = false, seed }: WantedData): Promise<Dataset> {
  const dataset = await loadData(data, seed);
  return xFlip ? withXFlips(dataset) : dataset;
}

/** The data of a run, and how threads that load them get at them. */
export interface SharedTrainingData {
  readonly dataset: Dataset;
  readonly samples: WorkerSamples;
}

/**
 * The same for a run whose samples are made in other threads. What lies in memory lies there once, for all of them;
 * pictures that do not fit are opened by each thread, and the caches together take what one alone would.
 *
 * @param workers  number of threads
 */
export async function shareTrainingData(
  { data, xFlip = false, seed }: WantedData,
  workers: number,
): Promise<SharedTrainingData> {
  const memory = { memoryBytes: defaultMemoryBytes(), readers: workers + 1 };
  const loaded = await loadData(data, seed, memory);
  const isStreamed = data.kind === 'file' && !isPointPath(data.path) && loaded.values === undefined;
  const dataset = isStreamed ? loaded : inSharedMemory(loaded);
  const from: WorkerSamples['from'] = isStreamed
    ? { kind: 'pictures', file: data, ...memory }
    : { kind: 'memory', values: dataset.values!, sampleShape: dataset.sampleShape };
  return { dataset: xFlip ? withXFlips(dataset) : dataset, samples: { from, xFlip } };
}

type WantedData = Pick<TrainingOptions, 'data' | 'seed'> & Partial<Pick<TrainingOptions, 'xFlip'>>;

async function loadData(
  data: DataOptions,
  seed: number,
  memory: Pick<ImageDatasetOptions, 'memoryBytes' | 'readers'> = {},
): Promise<Dataset> {
  if (data.kind === 'toy') return toyDataset(data.name, { length: data.length, seed, dimension: data.dimension });
  if (data.kind === 'file') return loadDataFile(data, memory);
  const dataset = await loadCifar10({ split: 'train' });
  if (data.maxImages === null) return dataset;
  return subset(
    dataset,
    Uint32Array.from({ length: data.maxImages }, (_, i) => i),
  );
}

/**
 * Points to compare the samples of a run on points with: of a toy distribution fresh ones, drawn with another seed than
 * the training set; of a file its own, as many as there are.
 *
 * @returns [count, dimension], of a file perhaps fewer
 */
export function freshPoints({ data, seed }: Pick<TrainingOptions, 'data' | 'seed'>, count: number): Float32Array {
  const { sampleShape } = dataShape(data);
  if (data.kind === 'cifar10' || sampleShape.length !== 1)
    throw new UsageError(`freshPoints: data must be points, got ${dataName(data)}`);
  const [dimension] = sampleShape;
  const dataset =
    data.kind === 'file'
      ? loadDataFile(data)
      : toyDataset(data.name, { length: count, seed: seed + 1, dimension: data.dimension });
  const points = new Float32Array(Math.min(count, dataset.length) * dimension);
  for (let i = 0; i < points.length / dimension; i++) dataset.read(i, points, i * dimension);
  return points;
}

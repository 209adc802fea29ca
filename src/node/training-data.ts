import { cifar10, cifar10Batches } from '../data/cifar10.ts';
import { subset } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { toyDataset, toyKinds } from '../data/toy.ts';
import { withXFlips } from '../data/x-flips.ts';
import type { TrainingOptions } from '../training/index.ts';
import { loadCifar10 } from './cifar10.ts';

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
export const dataName = (data: DataOptions): string => (data.kind === 'cifar10' ? 'cifar10' : kebabCase(data.name));

/** All names of data sets that can be trained on. */
export const dataNames: readonly string[] = ['cifar10', ...toyKinds.map(kebabCase)];

/** The toy set of a name, or undefined. */
export const toyKindOf = (name: string): (typeof toyKinds)[number] | undefined =>
  toyKinds.find((kind) => kebabCase(kind) === name);

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Shape of the samples, number of classes and length of a data set. */
export function dataShape(data: DataOptions): DataShape {
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
 * verified.
 *
 * @throws UsageError   when CIFAR-10 is not in the cache, with the command that fetches it, or is shorter than asked for
 * @throws FormatError  when a file of it is truncated or altered
 */
export async function loadTrainingData({
  data,
  xFlip = false,
  seed,
}: Pick<TrainingOptions, 'data' | 'seed'> & Partial<Pick<TrainingOptions, 'xFlip'>>): Promise<Dataset> {
  const dataset = await loadData(data, seed);
  return xFlip ? withXFlips(dataset) : dataset;
}

async function loadData(data: DataOptions, seed: number): Promise<Dataset> {
  if (data.kind === 'toy') return toyDataset(data.name, { length: data.length, seed, dimension: data.dimension });
  const dataset = await loadCifar10({ split: 'train' });
  if (data.maxImages === null) return dataset;
  return subset(
    dataset,
    Uint32Array.from({ length: data.maxImages }, (_, i) => i),
  );
}

/** Fresh points of the distribution that a run on points trains on: drawn with another seed than its training set. */
export function freshPoints(
  { data, seed }: Pick<TrainingOptions, 'data' | 'seed'> & { data: { kind: 'toy' } },
  count: number,
): Float32Array {
  const dataset = toyDataset(data.name, { length: count, seed: seed + 1, dimension: data.dimension });
  const points = new Float32Array(count * data.dimension);
  for (let i = 0; i < count; i++) dataset.read(i, points, i * data.dimension);
  return points;
}

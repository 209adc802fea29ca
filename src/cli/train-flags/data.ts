import { UsageError } from '../../errors.ts';
import { dataName, dataNames, dataShape, namedData } from '../../node/training-data.ts';
import { presets } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { text } from '../values.ts';
import { count, flag } from './flag.ts';
import type { TrainFlag } from './flag.ts';

function withData(options: TrainingOptions, word: string): TrainingOptions {
  const base = options.data.kind === 'toy' ? options.data : presets['toy-2d'].data;
  return { ...options, data: namedData(word, base as typeof base & { kind: 'toy' }) };
}

/** What to train on. */
export const dataFlags: readonly TrainFlag[] = [
  flag('Data', 'data', {
    kind: text('NAME|PATH'),
    help: `Data set: ${dataNames.join(', ')}; or a folder or .zip of PNG images, or a .npy, .npz or .csv of points`,
    get: ({ data }) => (data.kind === 'file' ? data.path : dataName(data)),
    set: withData,
  }),
  flag('Data', 'max-images', {
    kind: count,
    help: 'Train on the first INT images, or on INT points',
    get: ({ data }) => (data.kind === 'toy' ? data.length : (data.maxImages ?? undefined)),
    set: (options, value) => ({
      ...options,
      data: options.data.kind === 'toy' ? { ...options.data, length: value } : { ...options.data, maxImages: value },
    }),
  }),
  flag('Data', 'dimension', {
    kind: count,
    help: 'Coordinates of a point; two-gaussians takes any number, the other sets have 2 or 3',
    get: ({ data }) => (data.kind === 'toy' ? data.dimension : undefined),
    set: (options, value) => {
      if (options.data.kind !== 'toy')
        throw new UsageError(
          `--dimension is an option of toy sets of points, and the data are ${dataName(options.data)}.`,
        );
      return { ...options, data: { ...options.data, dimension: value } };
    },
  }),
  flag('Data', 'resolution', {
    kind: count,
    help: 'Height and width of the images, checked against the data',
    get: ({ data }) => dataShape(data).sampleShape[2],
    set: (options, value) => {
      const found = dataShape(options.data).sampleShape[2];
      if (value === found) return options;
      throw new UsageError(
        `--resolution must be that of the data, ${found ?? 'and points have none'}, got ${value}. Images are not scaled.`,
      );
    },
  }),
];

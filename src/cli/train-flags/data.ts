import { UsageError } from '../../errors.ts';
import { dataName, dataNames, dataShape, toyKindOf } from '../../node/training-data.ts';
import { presets } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { choice } from '../values.ts';
import { count, flag } from './flag.ts';
import type { TrainFlag } from './flag.ts';

function withData(options: TrainingOptions, name: string): TrainingOptions {
  const kind = toyKindOf(name);
  if (kind === undefined) return { ...options, data: { kind: 'cifar10', maxImages: null } };
  const base = options.data.kind === 'toy' ? options.data : presets['toy-2d'].data;
  return { ...options, data: { ...(base as typeof base & { kind: 'toy' }), name: kind } };
}

/** What to train on. */
export const dataFlags: readonly TrainFlag[] = [
  flag('Data', 'data', {
    kind: choice('NAME', dataNames),
    help: `Data set: ${dataNames.join(', ')}`,
    get: ({ data }) => dataName(data),
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
    help: 'Coordinates of a point; two-gaussians takes any number, the other sets have 2',
    get: ({ data }) => (data.kind === 'toy' ? data.dimension : undefined),
    set: (options, value) => {
      if (options.data.kind !== 'toy')
        throw new UsageError(`--dimension is an option of sets of points, and the data are ${dataName(options.data)}.`);
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

import type { Dataset } from '../../data/dataset.ts';
import { createDataOrder } from '../../data/order.ts';
import type { DataOrder } from '../../data/order.ts';
import { UsageError } from '../../errors.ts';
import { streams } from '../../numerics/random.ts';
import type { Stream } from '../../numerics/random.ts';
import type { Runtime } from '../../runtime/index.ts';
import { classBank } from './class-bank.ts';
import { checkReferences } from './config.ts';
import type { ReferenceConfig } from './config.ts';
import { nearestReferences } from './nearest.ts';
import { compileNeighbourSearch } from './neighbours.ts';
import type { ReferenceSource } from './source.ts';
import { freshReferences, rollingBank } from './window.ts';

export { checkReferences, describeReferences, referenceSizes } from './config.ts';
export type { ReferenceConfig, ReferenceSizes } from './config.ts';
export type { OwnReferences, ReferenceDraw, ReferenceSource } from './source.ts';
export { compileNeighbourSearch } from './neighbours.ts';
export type { NeighbourSearch } from './neighbours.ts';

export interface ReferenceSourceOptions {
  /** Samples in a mini-batch. */
  readonly batch: number;
  readonly seed: number;
  /** Whether references count for samples of their own class only. */
  readonly restrictsClass: boolean;
  /** Order in which the data set is gone through; that of training when left out. */
  readonly order?: DataOrder;
  /** Where the references beside the order's are drawn from; `streams.references` when left out. */
  readonly stream?: Stream;
}

/**
 * The source of mini-batches and their references. Denoising score matching, `undefined`, is the source without
 * references; with `all` the mini-batch comes without them too, since the whole data set is streamed beside.
 *
 * @throws UsageError when references, mini-batch and data set do not fit together
 */
export async function referenceSource(
  runtime: Runtime,
  dataset: Dataset,
  config: ReferenceConfig | undefined,
  options: ReferenceSourceOptions,
): Promise<ReferenceSource> {
  const { batch, seed, restrictsClass, order = createDataOrder(dataset.length, seed) } = options;
  const { stream = streams.references } = options;
  if (config) checkReferences(config, batch, restrictsClass);
  if (restrictsClass && dataset.classes === 0)
    throw new UsageError(`references: data set ${dataset.name} has no classes to restrict them to.`);
  const labelOf = restrictsClass ? (row: number): number => dataset.label(row) : undefined;
  const window = { order, batch, labelOf };
  switch (config?.kind) {
    case undefined:
    case 'all':
      return freshReferences({ ...window, count: 0 });
    case 'batch':
      return freshReferences({ ...window, count: batch });
    case 'fresh':
      return freshReferences({ ...window, count: config.count });
    case 'bank':
      return rollingBank({ ...window, count: config.count });
    case 'class-bank': {
      const rowLabels = Array.from({ length: dataset.length }, (_, row) => dataset.label(row));
      return classBank({ order, batch, perClass: config.perClass, rowLabels, classes: dataset.classes, seed, stream });
    }
    case 'nearest': {
      const { neighbours, others } = config;
      const search = await compileNeighbourSearch(runtime, dataset, { count: neighbours, samples: batch, labelOf });
      return nearestReferences({
        order,
        batch,
        others,
        neighbours,
        search,
        length: dataset.length,
        labelOf,
        seed,
        stream,
      });
    }
  }
}

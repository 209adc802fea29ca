import { memoryDataset } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { withXFlips } from '../../data/x-flips.ts';
import type { Samples } from '../../training/samples.ts';
import type { FileData } from '../dataset/training-file.ts';

/** How a worker thread gets at the samples of a run. It can be sent to one. */
export interface WorkerSamples {
  readonly from:
    | {
        /** All of them, in memory that threads share. */
        readonly kind: 'memory';
        readonly values: Uint8Array | Float32Array;
        readonly sampleShape: readonly number[];
      }
    | {
        /** Pictures that do not fit in memory: every worker opens them for itself. */
        readonly kind: 'pictures';
        readonly file: FileData;
        readonly memoryBytes: number;
        readonly readers: number;
      };
  readonly xFlip: boolean;
}

/** Opens the samples, in a worker. */
export async function openWorkerSamples({ from, xFlip }: WorkerSamples): Promise<Samples> {
  const dataset = await open(from);
  return xFlip ? withXFlips(dataset) : dataset;
}

async function open(from: WorkerSamples['from']): Promise<Dataset> {
  if (from.kind === 'memory')
    return memoryDataset({ name: 'samples', data: from.values, sampleShape: from.sampleShape });
  // Decoding is not loaded where there is nothing to decode.
  const { loadDataFile } = await import('../dataset/training-file.ts');
  return loadDataFile(from.file, from);
}

/**
 * The same data set in memory that threads share, where it is not there already.
 *
 * @param dataset  read from its first sample to its last
 */
export function inSharedMemory(dataset: Dataset): Dataset & { readonly values: Uint8Array | Float32Array } {
  const { name, length, sampleShape, classes, values } = dataset;
  if (values?.buffer instanceof SharedArrayBuffer) return { ...dataset, values };
  const size = sampleShape.reduce((product, extent) => product * extent, 1);
  const data =
    dataset.dtype === 'uint8'
      ? new Uint8Array(new SharedArrayBuffer(length * size))
      : new Float32Array(new SharedArrayBuffer(length * size * 4));
  for (let i = 0; i < length; i++) dataset.read(i, data, i * size);
  const labels = classes > 0 ? Array.from({ length }, (_, i) => dataset.label(i)) : undefined;
  const shared = memoryDataset({ name, data, sampleShape, ...(labels && { labelled: { labels, classes } }) });
  return { ...shared, values: data };
}

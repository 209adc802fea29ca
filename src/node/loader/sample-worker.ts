import { workerData } from 'node:worker_threads';
import { keepMasks, sampleMaker } from '../../training/samples.ts';
import type { SampleBatch, SampleRequest, SampleSettings } from '../../training/samples.ts';
import { answerRequests } from './worker-port.ts';
import { openWorkerSamples } from './worker-samples.ts';
import type { WorkerSamples } from './worker-samples.ts';

/* The program of a worker thread that makes samples: requests in, batches out. */

/** What a worker is asked for. */
export interface WorkerRequest {
  readonly settings: SampleSettings;
  readonly request: SampleRequest;
}

/** Dropout decisions of a batch are made ahead where they take no more bytes than that; a large network's take GiB. */
const mostDropoutBytes = 2 ** 26;

const samples = openWorkerSamples(workerData as WorkerSamples);
// Told with the answer to each request.
samples.catch(() => {});

let made: { settings: string; make: (request: SampleRequest) => SampleBatch } | undefined;

async function answer({ settings, request }: WorkerRequest): Promise<SampleBatch> {
  const key = JSON.stringify(settings);
  if (made?.settings !== key) made = { settings: key, make: sampleMaker(await samples, settings) };
  const batch = made.make(request);
  const { dropout, seed } = settings;
  const { step, first, rows } = request;
  if (dropout.perSample === 0 || rows.length * dropout.perSample > mostDropoutBytes) return batch;
  return { ...batch, dropoutKeep: keepMasks(dropout, { seed, step, first, count: rows.length }) };
}

/** The memory of a batch, which changes hands instead of being copied. */
function buffersOf({ augmented, ...columns }: SampleBatch): ArrayBuffer[] {
  const arrays = [...Object.values(columns), ...Object.values(augmented ?? {})] as (Uint8Array | Float32Array)[];
  return [...new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer))];
}

answerRequests(answer, buffersOf);

import { UsageError } from '../../errors.ts';
import type { SampleBatch, SampleLoader } from '../../training/index.ts';
import type { WorkerRequest } from './sample-worker.ts';
import { workerPool, workerProgram } from './worker-pool.ts';
import type { WorkerSamples } from './worker-samples.ts';

/** Worker threads that make samples ahead of the step. */
export interface SamplePool extends SampleLoader {
  /** Ends the threads. What was asked for and not made fails. */
  release(): Promise<void>;
}

/**
 * Starts worker threads that make samples: what they make are the same bits that would be made in the step. They live
 * until `release`, or as long as the process. Each has one batch at hand and one to work on.
 *
 * @param samples  where the workers find the samples
 * @param workers  number of threads, at least 1
 * @param program  what a worker runs
 */
export function samplePool(
  samples: WorkerSamples,
  workers: number,
  program: URL = workerProgram(import.meta.url, 'sample-worker.js'),
): SamplePool {
  if (!Number.isInteger(workers) || workers < 1)
    throw new UsageError(`samplePool: workers must be an integer of at least 1, got ${workers}.`);
  const pool = workerPool<WorkerRequest, SampleBatch>(program, { workers, data: samples, task: 'loads data' });
  return {
    ahead: workers + 1,
    start: (settings) => (request) => pool.ask({ settings, request }),
    release: () => pool.release(),
  };
}

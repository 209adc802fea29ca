import { Worker } from 'node:worker_threads';
import { StfError, UsageError } from '../../errors.ts';
import type { SampleBatch, SampleLoader } from '../../training/index.ts';
import type { WorkerAnswer, WorkerRequest } from './sample-worker.ts';
import { receivedError } from './worker-error.ts';
import type { WorkerSamples } from './worker-samples.ts';

/** Worker threads that make samples ahead of the step. */
export interface SamplePool extends SampleLoader {
  /** Ends the threads. What was asked for and not made fails. */
  release(): Promise<void>;
}

/** Who waits for an answer. */
interface Waiting {
  readonly resolve: (batch: SampleBatch) => void;
  readonly reject: (error: Error) => void;
}

/** The program of a worker. Node does not run sources: where this file is one, in tests, the built program is meant. */
const workerProgram = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/src/node/loader/sample-worker.js' : './sample-worker.js',
  import.meta.url,
);

/**
 * Starts worker threads that make samples: what they make are the same bits that would be made in the step. They live
 * until `release`, or as long as the process. Each has one batch at hand and one to work on.
 *
 * @param samples  where the workers find the samples
 * @param workers  number of threads, at least 1
 * @param program  what a worker runs
 */
export function samplePool(samples: WorkerSamples, workers: number, program: URL = workerProgram): SamplePool {
  if (!Number.isInteger(workers) || workers < 1)
    throw new UsageError(`samplePool: workers must be an integer of at least 1, got ${workers}.`);
  const waiting = new Map<number, Waiting>();
  let broken: Error | undefined;
  let released = false;
  const fail = (error: Error): void => {
    broken ??= error;
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
  };
  const receive = ({ id, ...answer }: WorkerAnswer): void => {
    const asker = waiting.get(id);
    waiting.delete(id);
    if ('error' in answer) asker?.reject(receivedError(answer.error));
    else asker?.resolve(answer.batch);
  };
  const threads = Array.from({ length: workers }, () => {
    // Its own options of Node, such as --input-type, are not for the worker.
    const thread = new Worker(program, { workerData: samples, execArgv: [] });
    thread.on('message', receive);
    thread.on('error', (error) => fail(error));
    thread.on('exit', (code) => {
      if (!released) fail(new StfError(`a thread that loads data ended with code ${code}.`));
    });
    return thread;
  });
  let next = 0;
  return {
    ahead: workers + 1,
    start: (settings) => (request) =>
      new Promise((resolve, reject) => {
        if (broken) {
          reject(broken);
          return;
        }
        const id = next++;
        waiting.set(id, { resolve, reject });
        threads[id % workers].postMessage({ id, settings, request } satisfies WorkerRequest);
      }),
    release: async () => {
      released = true;
      await Promise.all(threads.map((thread) => thread.terminate()));
      fail(new StfError('the threads that load data have ended.'));
    },
  };
}

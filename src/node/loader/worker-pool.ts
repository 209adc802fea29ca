import { Worker } from 'node:worker_threads';
import { StfError } from '../../errors.ts';
import { receivedError } from './worker-error.ts';
import type { SentError } from './worker-error.ts';

/** What goes to a worker thread. */
export interface WorkerMessage<Request> {
  readonly id: number;
  readonly request: Request;
}

/** What comes back. */
export type WorkerReply<Answer> = { readonly id: number } & (
  { readonly answer: Answer } | { readonly error: SentError }
);

/** Worker threads that answer requests, each its own in the order in which they came. */
export interface WorkerPool<Request, Answer> {
  /** @param buffers memory that changes hands instead of being copied */
  ask(request: Request, buffers?: readonly ArrayBuffer[]): Promise<Answer>;
  /** Ends the threads. What was asked for and not answered fails. */
  release(): Promise<void>;
}

/**
 * The program of a worker that lies beside a module. Node does not run sources: where the module is one, in tests, the
 * built program is meant.
 *
 * @param module  `import.meta.url`
 * @param name    of the built program, such as `sample-worker.js`
 */
export function workerProgram(module: string, name: string): URL {
  if (!module.endsWith('.ts')) return new URL(name, module);
  const sources = module.lastIndexOf('/src/');
  return new URL(name, `${module.slice(0, sources)}/dist${module.slice(sources)}`);
}

/**
 * Starts worker threads, which live until `release`, or as long as the process. Requests go round.
 *
 * @param options.workers  number of threads, at least 1
 * @param options.data     handed to each, as `workerData`
 * @param options.task     what they do, for the error when one ends: `loads data`
 */
export function workerPool<Request, Answer>(
  program: URL,
  { workers, data, task }: { workers: number; data: unknown; task: string },
): WorkerPool<Request, Answer> {
  const waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  let broken: Error | undefined;
  let released = false;
  const fail = (error: Error): void => {
    broken ??= error;
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
  };
  const receive = ({ id, ...reply }: WorkerReply<Answer>): void => {
    const asker = waiting.get(id);
    waiting.delete(id);
    if ('error' in reply) asker?.reject(receivedError(reply.error));
    else asker?.resolve(reply.answer);
  };
  const threads = Array.from({ length: workers }, () => {
    // Its own options of Node, such as --input-type, are not for the worker.
    const thread = new Worker(program, { workerData: data, execArgv: [] });
    thread.on('message', receive);
    thread.on('error', (error) => fail(error));
    thread.on('exit', (code) => {
      if (!released) fail(new StfError(`a thread that ${task} ended with code ${code}.`));
    });
    return thread;
  });
  let next = 0;
  return {
    ask: (request, buffers = []) =>
      new Promise((resolve, reject) => {
        if (broken) {
          reject(broken);
          return;
        }
        const id = next++;
        waiting.set(id, { resolve, reject });
        threads[id % workers].postMessage({ id, request } satisfies WorkerMessage<Request>, [...buffers]);
      }),
    release: async () => {
      released = true;
      await Promise.all(threads.map((thread) => thread.terminate()));
      fail(new StfError(`the thread that ${task} has ended.`));
    },
  };
}

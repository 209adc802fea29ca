import { parentPort } from 'node:worker_threads';
import { sentError } from './worker-error.ts';
import type { WorkerMessage, WorkerReply } from './worker-pool.ts';

/**
 * Answers the requests of a `workerPool`: the whole program of a worker thread.
 *
 * @param buffersOf  the memory of an answer, which changes hands instead of being copied
 */
export function answerRequests<Request, Answer>(
  answer: (request: Request) => Promise<Answer>,
  buffersOf: (answer: Answer) => ArrayBuffer[],
): void {
  const port = parentPort!;
  port.on('message', ({ id, request }: WorkerMessage<Request>) => {
    answer(request).then(
      (found) => port.postMessage({ id, answer: found } satisfies WorkerReply<Answer>, buffersOf(found)),
      (error: unknown) => port.postMessage({ id, error: sentError(error) } satisfies WorkerReply<Answer>),
    );
  });
}

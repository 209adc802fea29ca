import type { PictureRecipe, PictureTransform } from '../../data/picture-transforms.ts';
import { FormatError } from '../../errors.ts';
import { workerPool, workerProgram } from '../loader/worker-pool.ts';
import { loadSharp } from './image-file.ts';
import type { ImageItem, ImageSource } from './image-source.ts';
import type { PreparedBatch, UnpreparedBatch } from './prepare-worker.ts';
import { ownBytes, prepared } from './prepared.ts';
import type { Preparation, Prepared } from './prepared.ts';
import { loadInOrder } from './usable.ts';

/** What goes to a thread at a time: small pictures in dozens, large ones by themselves. */
const batchPictures = 16;
const batchBytes = 2 ** 20;
/** Batches that a thread has at hand, the one it works on included. */
const batchesEach = 2;

/**
 * As `prepared`, in threads, in order. Files are read here, so that only this thread has the source; at most some
 * hundred of them are in memory.
 *
 * @throws what went wrong but damaged pictures, which are handed out; the signal's reason when it aborts
 */
export async function* preparedInThreads(
  source: ImageSource,
  {
    count,
    workers,
    signal,
    ...preparation
  }: Preparation<PictureRecipe> & {
    readonly count: number;
    /** Number of threads, at least 1. */
    readonly workers: number;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<Prepared> {
  // The decoder's libraries must be loaded here, and stay, before threads load them. Without it, PNG can be read.
  await loadSharp().catch(() => undefined);
  const program = workerProgram(import.meta.url, 'prepare-worker.js');
  const pool = workerPool<UnpreparedBatch, PreparedBatch>(program, {
    ...{ workers, data: preparation, task: 'decodes pictures' },
  });
  try {
    const pending: Promise<PreparedBatch>[] = [];
    let next = 0;
    for (;;) {
      while (next < count && pending.length < workers * batchesEach) {
        const batch = readBatch(source, next, count);
        next += batch.length;
        const answer = pool.ask(
          batch,
          batch.flatMap((file) => ('bytes' in file ? file.bytes.buffer : [])),
        );
        answer.catch(() => {}); // it is awaited in its turn
        pending.push(answer);
      }
      const answer = pending.shift();
      if (!answer) return;
      const batch = await answer;
      signal?.throwIfAborted();
      yield* batch;
    }
  } finally {
    await pool.release();
  }
}

function readBatch(source: ImageSource, from: number, end: number): UnpreparedBatch {
  const batch: UnpreparedBatch[number][] = [];
  let bytes = 0;
  for (let index = from; index < end && batch.length < batchPictures && bytes < batchBytes; index++) {
    const file = readFile(source.item(index));
    if ('bytes' in file) bytes += file.bytes.length;
    batch.push(file);
  }
  return batch;
}

function readFile({ path, read }: ImageItem): UnpreparedBatch[number] {
  try {
    return { path, bytes: ownBytes(read!()) };
  } catch (error) {
    if (error instanceof FormatError) return { path, fault: error.message };
    throw error;
  }
}

/** As `prepared`, here, in order. Throws as `preparedInThreads` does. */
export async function* preparedHere(
  source: ImageSource,
  {
    count,
    signal,
    ...preparation
  }: Preparation<PictureTransform> & { readonly count: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Prepared> {
  for await (const loaded of loadInOrder(source, { count, signal })) yield prepared(loaded, preparation);
}

import { openImages } from '../node/dataset/open-images.ts';
import type { ImageSource } from '../node/dataset/image-source.ts';
import { makeConsole } from './console.ts';
import { Interrupted } from './io.ts';
import type { Io } from './io.ts';

/** What a command of `stf dataset` reads, for its help. */
export const sourceHelp =
  'folder, .zip, cifar-10-python.tar.gz, cifar-10-binary.tar.gz, train-images-idx3-ubyte[.gz], or cifar10 from the cache';

/**
 * Opens pictures, works on them under a progress bar, and closes them.
 *
 * @param maxImages  look at the first pictures only
 * @param state      what a stopped command leaves behind, in words
 * @throws Interrupted when the user stops it
 */
export async function withImages<T>(
  io: Io,
  path: string,
  { maxImages, state }: { maxImages: number | undefined; state: string },
  work: (source: ImageSource, onProgress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const source = await openImages(path);
  const total = Math.min(source.length, maxImages ?? source.length);
  const bar = makeConsole(io).progress({ unit: 'images', total, rate: { unit: 'img/s', perUnit: 1 } });
  try {
    return await work(source, (done) => bar.update(done));
  } catch (error) {
    if (io.interrupt.aborted) throw new Interrupted(`interrupted; ${state}`);
    throw error;
  } finally {
    bar.end();
    source.close();
  }
}

import { asRgb } from '../../data/picture-transforms.ts';
import type { Picture } from '../../data/resample.ts';
import { FormatError } from '../../errors.ts';
import type { DecodedImage } from './image-file.ts';
import type { ImageItem, ImageSource } from './image-source.ts';

/** Something that is wrong with a picture. */
export interface Offence {
  readonly path: string;
  /** What is wrong: `16 bit`, `truncated or damaged: ...`. */
  readonly what: string;
  /** Whether `--convert rgb` mends it. */
  readonly isMendable: boolean;
}

/** An offence as one line. */
export const describeOffence = ({ path, what, isMendable }: Offence): string =>
  `${path}: ${what}${isMendable ? ' (--convert rgb mends it)' : ''}`;

/** How one picture turned out. */
export type Loaded = { readonly item: ImageItem; readonly index: number } & (
  { readonly image: DecodedImage } | { readonly error: FormatError }
);

/** Pictures that are decoded at the same time: as many as Node has threads for it, and some that wait. */
const usuallyAtOnce = 8;

/**
 * Loads pictures in order, a few at a time.
 *
 * @param count   the first so many; all by default
 * @param atOnce  pictures that are decoded at the same time
 * @throws what went wrong but damaged pictures, which are handed out; the signal's reason when it aborts
 */
export async function* loadInOrder(
  source: ImageSource,
  {
    count = source.length,
    atOnce = usuallyAtOnce,
    signal,
  }: { count?: number | undefined; atOnce?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Loaded> {
  const load = async (index: number): Promise<Loaded> => {
    const item = source.item(index);
    try {
      return { item, index, image: await item.load() };
    } catch (error) {
      if (error instanceof FormatError) return { item, index, error };
      throw error;
    }
  };
  const pending: Promise<Loaded>[] = [];
  let next = 0;
  for (let index = 0; index < count; index++) {
    while (next < count && pending.length < atOnce) {
      const promise = load(next++);
      promise.catch(() => {}); // it is awaited in its turn
      pending.push(promise);
    }
    // Between any two pictures those that wait go on: each has several steps, of reading and of decoding, and without
    // this none begins while there are pictures that are done. Signals are seen here, too.
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    yield await pending.shift()!;
  }
}

/** What is wrong with a picture by itself. */
export function offencesOf(loaded: Loaded): Offence[] {
  const { path } = loaded.item;
  if ('error' in loaded) {
    const { message } = loaded.error;
    const what = message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
    return [{ path, what, isMendable: false }];
  }
  return loaded.image.faults.map((what) => ({ path, what, isMendable: true }));
}

/** The picture as it goes on: as RGB where that is asked for. */
export const mended = ({ picture }: DecodedImage, toRgb: boolean): Picture => (toRgb ? asRgb(picture) : picture);

import type { PictureSize } from '../../data/picture-transforms.ts';
import type { ImageSource } from './image-source.ts';
import { loadInOrder, offencesOf } from './usable.ts';
import type { Offence } from './usable.ts';

export interface ImageCheckOptions {
  /** Width and height that every picture must have; by default those that most have. */
  readonly size?: PictureSize | undefined;
  readonly maxImages?: number | undefined;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What was found out about the pictures of a source. */
export interface ImageCheck {
  readonly images: number;
  /** Pictures with an offence. */
  readonly offenders: number;
  /** In the order of the pictures. */
  readonly offences: readonly Offence[];
  readonly size: PictureSize | undefined;
}

interface Fact {
  readonly index: number;
  readonly size: string;
  readonly channels: number;
}

/**
 * Looks at every picture of a source: truncated or damaged, of another size, grey among colours, RGBA, 16 bit, CMYK,
 * animated, without a label though others have one.
 *
 * @throws the signal's reason when it aborts
 */
export async function checkImages(source: ImageSource, options: ImageCheckOptions = {}): Promise<ImageCheck> {
  const { maxImages = source.length, onProgress, signal } = options;
  const count = Math.min(source.length, maxImages);
  const facts: Fact[] = [];
  const found: { index: number; offence: Offence }[] = [];
  const unlabelled: number[] = [];
  for await (const loaded of loadInOrder(source, { count, signal })) {
    const { index } = loaded;
    onProgress?.(index + 1);
    found.push(...offencesOf(loaded).map((offence) => ({ index, offence })));
    if (loaded.item.label === null) unlabelled.push(index);
    if ('error' in loaded) continue;
    const { width, height, channels } = loaded.image.picture;
    facts.push({ index, size: `${width} x ${height}`, channels });
  }
  const add = (index: number, what: string, isMendable: boolean): void =>
    void found.push({ index, offence: { path: source.item(index).path, what, isMendable } });

  const wanted = options.size
    ? `${options.size.width} x ${options.size.height}`
    : mostCommon(facts.map(({ size }) => size));
  const isColour = mostCommon(facts.map(({ channels }) => channels)) === 3;
  for (const { index, size, channels } of facts) {
    if (size !== wanted)
      add(index, `${size} pixels, and ${options.size ? 'asked for are' : 'most have'} ${wanted}`, false);
    if (isColour && channels === 1) add(index, 'grey, and most are RGB', true);
    if (!isColour && channels === 3) add(index, 'RGB, and most are grey', true);
  }
  if (unlabelled.length < count) for (const index of unlabelled) add(index, 'no label, and others have one', false);
  found.sort((a, b) => a.index - b.index);
  const [width, height] = (wanted ?? '').split(' x ').map(Number);
  return {
    images: count,
    offenders: new Set(found.map(({ index }) => index)).size,
    offences: found.map(({ offence }) => offence),
    size: wanted === undefined ? undefined : { width, height },
  };
}

/** The value that comes most often, the first of several. */
function mostCommon<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let best: T | undefined;
  for (const [value, count] of counts) if (best === undefined || count > counts.get(best)!) best = value;
  return best;
}

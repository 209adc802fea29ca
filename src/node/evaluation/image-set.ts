import { statSync } from 'node:fs';
import { sampleSize } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { toPlanes } from '../../data/picture-transforms.ts';
import { FormatError, UsageError } from '../../errors.ts';
import { loadCifar10 } from '../cifar10.ts';
import { openImages } from '../dataset/open-images.ts';
import type { ImageSource } from '../dataset/image-source.ts';

/** Images in an order that never changes, of one size, to compute features of. */
export interface ImageSet {
  /** What they are, for people: `cifar10-test`, `samples/`. */
  readonly name: string;
  /** What it takes to have them again, as plain data. */
  readonly origin: Readonly<Record<string, unknown>>;
  readonly length: number;
  /** [C, H, W]; 1 or 3 channels */
  readonly shape: readonly [number, number, number];
  /** Planes [to - from, C, H, W] of images `from` to `to` - 1. Throws FormatError that names the image. */
  read(from: number, to: number): Promise<Uint8Array>;
  /**
   * A text that tells images `from` to `to` - 1 from all others without drawing them; left out where only their pixels
   * do.
   */
  recipe?(from: number, to: number): string;
  /** Evaluations of the network for each sample of those that were read last, where they are drawn. */
  nfe?(): number | undefined;
  close(): Promise<void>;
}

/** Names of the splits of CIFAR-10; `cifar10` is what networks are trained on. */
const cifar10Names = { cifar10: 'train', 'cifar10-train': 'train', 'cifar10-test': 'test' } as const;

/** Whether a word is the name of a data set with images, and no path. */
export const isImageSetName = (word: string): word is keyof typeof cifar10Names =>
  Object.hasOwn(cifar10Names, word) && statSync(word, { throwIfNoEntry: false }) === undefined;

/**
 * Opens images to evaluate: a folder, a zip archive, an archive of CIFAR-10, an idx file of MNIST, or `cifar10`,
 * `cifar10-train` or `cifar10-test` from the cache.
 *
 * @param count  the first so many; all when left out
 * @throws UsageError  when there is nothing known at the path, it has no images or fewer than asked for
 * @throws FormatError when it is damaged; of single images when they are read
 */
export async function openImageSet(word: string, count?: number): Promise<ImageSet> {
  const set = isImageSetName(word)
    ? ofDataset(await loadCifar10({ split: cifar10Names[word] }), cifar10Names[word])
    : await ofSource(await openImages(word), word);
  if (count === undefined || count === set.length) return set;
  if (count > set.length) throw new UsageError(`${word} has ${set.length} images, fewer than the ${count} asked for.`);
  return { ...set, length: count };
}

function ofDataset(dataset: Dataset, split: string): ImageSet {
  const size = sampleSize(dataset);
  return {
    name: dataset.name,
    origin: { kind: 'data set', name: 'cifar10', split },
    length: dataset.length,
    shape: dataset.sampleShape as [number, number, number],
    read: (from, to) => {
      const pixels = new Uint8Array((to - from) * size);
      for (let i = from; i < to; i++) dataset.read(i, pixels, (i - from) * size);
      return Promise.resolve(pixels);
    },
    close: () => Promise.resolve(),
  };
}

/** Images that are decoded at the same time. */
const atOnce = 8;
/** Images that are looked at when a set is opened, so that what is wrong with many of them shows before any work. */
const lookedAt = 16;

async function ofSource(source: ImageSource, path: string): Promise<ImageSet> {
  const load = async (index: number) => {
    const item = source.item(index);
    const { picture, faults } = await item.load();
    if (faults.length > 0)
      throw new FormatError(
        `${item.path}: ${faults.join(', ')}. Features are those of plain grey or RGB images of 8 bits: stf dataset convert --convert rgb makes them so.`,
      );
    return { path: item.path, ...picture };
  };
  try {
    const first = await load(0);
    const { width, height, channels } = first;
    const size = width * height * channels;
    const planesOf = async (index: number): Promise<Uint8Array> => {
      const picture = await load(index);
      if (picture.width !== width || picture.height !== height)
        throw new FormatError(
          `${picture.path}: ${picture.width} x ${picture.height} pixels, and the first image has ${width} x ${height}. ` +
            'All must have one size: stf dataset check lists all that differ.',
        );
      if (picture.channels !== channels)
        throw new FormatError(
          `${picture.path}: ${channels === 3 ? 'grey, and the first image is RGB' : 'RGB, and the first image is grey'}. ` +
            'stf dataset convert --convert rgb makes them equal.',
        );
      return toPlanes(picture);
    };
    const last = source.length - 1;
    for (let i = 1; i <= Math.min(lookedAt, last); i++)
      await planesOf(Math.round((i * last) / Math.min(lookedAt, last)));
    return {
      name: path,
      origin: { kind: source.kind, path },
      length: source.length,
      shape: [channels, height, width],
      read: async (from, to) => {
        const pixels = new Uint8Array((to - from) * size);
        for (let start = from; start < to; start += atOnce) {
          const some = Array.from({ length: Math.min(atOnce, to - start) }, (_, i) => planesOf(start + i));
          for (const [i, planes] of (await Promise.all(some)).entries()) pixels.set(planes, (start + i - from) * size);
        }
        return pixels;
      },
      close: () => Promise.resolve(source.close()),
    };
  } catch (error) {
    source.close();
    throw error;
  }
}

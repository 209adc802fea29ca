import { asRgb, toPlanes } from '../../data/picture-transforms.ts';
import { resize } from '../../data/resample.ts';
import type { Picture } from '../../data/resample.ts';
import { encodePng } from '../../formats/png.ts';
import { imageGrid } from '../../report/image-grid.ts';
import type { ImageSource } from './image-source.ts';
import { loadInOrder, offencesOf } from './usable.ts';

/** Numbers about the pictures of a source. */
export interface ImageDescription {
  readonly images: number;
  /** Pictures that can't be read at all. */
  readonly damaged: number;
  /** Pictures with something to mend: RGBA, 16 bit, CMYK, animated. */
  readonly faulty: number;
  /** How many pictures have a width, height and number of channels, most first. */
  readonly sizes: readonly {
    readonly width: number;
    readonly height: number;
    readonly channels: number;
    readonly count: number;
  }[];
  /** How many pictures a class has, by class; empty without labels. */
  readonly classes: ReadonlyMap<number, number>;
  /** Pictures without a label. */
  readonly unlabelled: number;
  /** Mean and standard deviation of all pixels of a channel, 0 to 255; of one channel when all pictures are grey. */
  readonly mean: readonly number[];
  readonly standardDeviation: readonly number[];
  /** Some of the pictures side by side, as a PNG file; undefined without a picture. */
  readonly contactSheet: Uint8Array | undefined;
}

/** Pictures on a contact sheet, spread evenly over the set, and the longest side that one is shown with. */
const sheet = { pictures: 100, columns: 10, longestSide: 64 } as const;

/**
 * Looks at every picture of a source.
 *
 * @throws the signal's reason when it aborts
 */
export async function describeImages(
  source: ImageSource,
  {
    maxImages = source.length,
    onProgress,
    signal,
  }: { maxImages?: number | undefined; onProgress?: (done: number) => void; signal?: AbortSignal | undefined } = {},
): Promise<ImageDescription> {
  const count = Math.min(source.length, maxImages);
  const sizes = new Map<string, { width: number; height: number; channels: number; count: number }>();
  const classes = new Map<number, number>();
  // Counts of the 256 values of a channel: exact, whatever the number of pixels.
  const histograms = [new Float64Array(256), new Float64Array(256), new Float64Array(256)];
  const shown: Picture[] = [];
  let [damaged, faulty, unlabelled] = [0, 0, 0];
  for await (const loaded of loadInOrder(source, { count, signal })) {
    const { index, item } = loaded;
    onProgress?.(index + 1);
    if (item.label === null) unlabelled += 1;
    else classes.set(item.label, (classes.get(item.label) ?? 0) + 1);
    if ('error' in loaded) {
      damaged += 1;
      continue;
    }
    if (offencesOf(loaded).length > 0) faulty += 1;
    const { picture } = loaded.image;
    const { width, height, channels, data } = picture;
    const key = `${width} ${height} ${channels}`;
    const size = sizes.get(key) ?? { width, height, channels, count: 0 };
    size.count += 1;
    sizes.set(key, size);
    for (let c = 0; c < 3; c++) {
      const histogram = histograms[c];
      for (let i = channels === 1 ? 0 : c; i < data.length; i += channels) histogram[data[i]] += 1;
    }
    // Picture number k of the sheet is the first one at or behind its share of the set.
    if (index >= Math.floor((shown.length * count) / Math.min(sheet.pictures, count)) && shown.length < sheet.pictures)
      shown.push(fitted(picture));
  }
  const isGrey = [...sizes.values()].every(({ channels }) => channels === 1);
  const moments = histograms.slice(0, isGrey ? 1 : 3).map(momentsOf);
  return {
    images: count,
    damaged,
    faulty,
    sizes: [...sizes.values()].sort((a, b) => b.count - a.count),
    classes: new Map([...classes].sort(([a], [b]) => a - b)),
    unlabelled,
    mean: moments.map(({ mean }) => mean),
    standardDeviation: moments.map(({ deviation }) => deviation),
    contactSheet: shown.length > 0 ? contactSheet(shown) : undefined,
  };
}

function momentsOf(histogram: Float64Array): { mean: number; deviation: number } {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const mean = histogram.reduce((sum, count, value) => sum + count * value, 0) / total;
  const variance = histogram.reduce((sum, count, value) => sum + count * (value - mean) ** 2, 0) / total;
  return { mean, deviation: Math.sqrt(variance) };
}

/** A picture that is no larger than the sheet shows it. */
function fitted(picture: Picture): Picture {
  const scale = sheet.longestSide / Math.max(picture.width, picture.height);
  if (scale >= 1) return asRgb(picture);
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  return resize(asRgb(picture), side(picture.width), side(picture.height), 'box');
}

/** Pictures in rows, each in the middle of a cell that takes the largest; around it is white. */
function contactSheet(pictures: readonly Picture[]): Uint8Array {
  const width = Math.max(...pictures.map((each) => each.width));
  const height = Math.max(...pictures.map((each) => each.height));
  const size = 3 * width * height;
  const images = new Uint8Array(pictures.length * size);
  pictures.forEach((picture, i) => images.set(toPlanes(centred(picture, width, height)), i * size));
  const columns = Math.min(sheet.columns, pictures.length);
  return encodePng(imageGrid({ images, count: pictures.length, channels: 3, height, width, columns }));
}

function centred(picture: Picture, width: number, height: number): Picture {
  const data = new Uint8Array(3 * width * height).fill(255);
  const left = Math.floor((width - picture.width) / 2);
  const top = Math.floor((height - picture.height) / 2);
  for (let y = 0; y < picture.height; y++)
    data.set(picture.data.subarray(3 * y * picture.width, 3 * (y + 1) * picture.width), 3 * ((y + top) * width + left));
  return { width, height, channels: 3, data };
}

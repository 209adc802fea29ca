import { labelsJson } from '../../data/labels.ts';
import type { PictureTransform } from '../../data/picture-transforms.ts';
import type { Picture } from '../../data/resample.ts';
import { FormatError, StfError, UsageError } from '../../errors.ts';
import { encodePng } from '../../formats/png.ts';
import { zipWriter } from '../../formats/zip-writer.ts';
import { openAtomic } from '../files.ts';
import type { PendingFile } from '../files.ts';
import { labelFile } from './image-source.ts';
import type { ImageSource } from './image-source.ts';
import { describeOffence, loadInOrder, mended, offencesOf } from './usable.ts';
import type { Offence } from './usable.ts';

export interface ConversionOptions {
  readonly source: ImageSource;
  /** The archive to write; its folder must exist. */
  readonly dest: string;
  readonly transform: PictureTransform;
  /** Look at the first pictures only. */
  readonly maxImages?: number | undefined;
  /** Mend what can be mended: grey, transparent, 16 bit, CMYK and animated pictures become RGB of 8 bits. */
  readonly toRgb?: boolean;
  /** Is told of every picture that can't be used. */
  readonly onOffence?: (offence: Offence) => void;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a conversion has come to. */
export interface Conversion {
  /** Pictures in the archive, and those that the transform left out. */
  readonly images: number;
  readonly leftOut: number;
  readonly width: number;
  readonly height: number;
  /** 1 or 3 */
  readonly channels: number;
  /** Number of classes; 0 when a picture has none. */
  readonly classes: number;
  /** Pictures without a label, though others have one. */
  readonly unlabelled: number;
}

/** Path of a picture in an archive, by its number in the source: `00001/img00001234.png`. */
export function archiveName(index: number): string {
  const digits = String(index).padStart(8, '0');
  return `${digits.slice(0, 5)}/img${digits}.png`;
}

/**
 * Writes a data set in EDM's format: a zip archive of stored, uncompressed PNG files `00000/img00000000.png` and
 * `dataset.json` with the labels. It appears under its name when it is complete; pictures that can't be used keep it from
 * appearing, and all of them are found.
 *
 * @throws FormatError when a picture can't be used, UsageError when the first does not come out square or none is left
 * @throws UsageError or StfError when the archive can't be written; the signal's reason when it aborts
 */
export async function convertImages(options: ConversionOptions): Promise<Conversion> {
  const { source, dest, maxImages = source.length, signal } = options;
  const file = await openAtomic(dest);
  try {
    const count = Math.min(source.length, maxImages);
    const conversion = await writeArchive(file, count, options);
    signal?.throwIfAborted();
    await file.commit();
    return conversion;
  } finally {
    await file.abandon();
  }
}

async function writeArchive(
  file: PendingFile,
  count: number,
  { source, transform, toRgb = false, onOffence, onProgress, signal }: ConversionOptions,
): Promise<Conversion> {
  const zip = zipWriter();
  const labels: [string, number][] = [];
  let first: Picture | undefined;
  let images = 0;
  let leftOut = 0;
  let offenders = 0;
  let firstOffence: Offence | undefined;
  const offend = (...offences: Offence[]): void => {
    offenders += 1;
    firstOffence ??= offences[0];
    offences.forEach((each) => onOffence?.(each));
  };
  for await (const loaded of loadInOrder(source, { count, signal })) {
    onProgress?.(loaded.index + 1);
    const { item, index } = loaded;
    const offences = offencesOf(loaded);
    if ('error' in loaded || (offences.length > 0 && !toRgb)) {
      offend(...offences);
      continue;
    }
    let picture: Picture | undefined;
    try {
      picture = transform(mended(loaded.image, toRgb));
    } catch (error) {
      if (!(error instanceof StfError)) throw error;
      offend({ path: item.path, what: error.message, isMendable: false });
      continue;
    }
    if (!picture) {
      leftOut += 1;
      continue;
    }
    first ??= requireSquare(picture, item.path);
    const unlike = differenceFrom(first, picture);
    if (unlike) {
      offend({ path: item.path, ...unlike });
      continue;
    }
    if (offenders > 0) continue;
    const name = archiveName(index);
    const { width, height, data } = picture;
    const png = encodePng({ width, height, channels: picture.channels as 1 | 3, data }, { isStored: true });
    for (const piece of zip.file(name, png)) await file.write(piece);
    images += 1;
    if (item.label !== null) labels.push([name, item.label]);
  }
  if (firstOffence)
    throw new FormatError(
      `${offenders} of ${count} pictures can't be used, and nothing was written. The first: ${describeOffence(firstOffence)}`,
    );
  if (!first) throw new UsageError(`${source.name}: all ${count} pictures are smaller than what is cut out of them.`);
  const isLabelled = labels.length === images;
  const json = new TextEncoder().encode(labelsJson(isLabelled ? labels : null));
  for (const piece of [...zip.file(labelFile, json), ...zip.end()]) await file.write(piece);
  return {
    images,
    leftOut,
    width: first.width,
    height: first.height,
    channels: first.channels,
    classes: isLabelled ? labels.reduce((most, [, label]) => Math.max(most, label + 1), 0) : 0,
    unlabelled: labels.length === 0 ? 0 : images - labels.length,
  };
}

function requireSquare(picture: Picture, path: string): Picture {
  const { width, height } = picture;
  if (width !== height)
    throw new UsageError(
      `${path} comes out with ${width} x ${height} pixels, and the pictures of a data set must be square: --transform center-crop --resolution N makes them so.`,
    );
  return picture;
}

function differenceFrom(first: Picture, { width, height, channels }: Picture): Omit<Offence, 'path'> | undefined {
  if (width !== first.width || height !== first.height)
    return {
      what: `${width} x ${height} pixels, and the first picture has ${first.width} x ${first.height} (--resolution makes them equal)`,
      isMendable: false,
    };
  if (channels === first.channels) return undefined;
  return {
    what: channels === 1 ? 'grey, and the first picture is RGB' : 'RGB, and the first picture is grey',
    isMendable: true,
  };
}

import { availableParallelism } from 'node:os';
import { labelsJson } from '../../data/labels.ts';
import { transformOf } from '../../data/picture-transforms.ts';
import type { PictureRecipe, PictureTransform } from '../../data/picture-transforms.ts';
import type { Picture } from '../../data/resample.ts';
import { FormatError, UsageError } from '../../errors.ts';
import { zipWriter } from '../../formats/zip-writer.ts';
import { openAtomic } from '../files.ts';
import type { PendingFile } from '../files.ts';
import { labelFile } from './image-source.ts';
import type { ImageSource } from './image-source.ts';
import { preparedHere, preparedInThreads } from './prepared-in-order.ts';
import type { Prepared } from './prepared.ts';
import { describeOffence } from './usable.ts';
import type { Offence } from './usable.ts';

export interface ConversionOptions {
  readonly source: ImageSource;
  /** The archive to write; its folder must exist. */
  readonly dest: string;
  /** As a recipe it can be sent to threads; a function works in this one. */
  readonly transform: PictureTransform | PictureRecipe;
  /**
   * Threads that decode and transform, 0 to do it in this one. The archive is the same. Default: one a core, at most 8,
   * and none for few pictures.
   */
  readonly workers?: number | undefined;
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
function archiveName(index: number): string {
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

/** With fewer pictures than this, threads take longer to start than they save. */
const fewPictures = 256;
const mostWorkers = 8;

/** The pictures of a source as they go into the archive, in order. */
function preparedPictures(
  count: number,
  { source, transform, workers, toRgb = false, signal }: ConversionOptions,
): AsyncGenerator<Prepared> {
  const threads = workers ?? (count < fewPictures ? 0 : Math.min(availableParallelism(), mostWorkers));
  if (!Number.isInteger(threads) || threads < 0)
    throw new UsageError(`convertImages: workers must be an integer of at least 0, got ${threads}.`);
  const isFunction = typeof transform === 'function';
  // Pictures that come as arrays have nothing to decode.
  const hasFiles = count > 0 && source.item(0).read !== undefined;
  return isFunction || threads === 0 || !hasFiles
    ? preparedHere(source, { transform: isFunction ? transform : transformOf(transform), toRgb, count, signal })
    : preparedInThreads(source, { transform, toRgb, count, workers: threads, signal });
}

async function writeArchive(file: PendingFile, count: number, options: ConversionOptions): Promise<Conversion> {
  const { source, onOffence, onProgress } = options;
  const zip = zipWriter();
  const labels: [string, number][] = [];
  let first: Form | undefined;
  let images = 0;
  let leftOut = 0;
  let offenders = 0;
  let firstOffence: Offence | undefined;
  const offend = (offences: readonly Offence[]): void => {
    offenders += 1;
    firstOffence ??= offences[0];
    offences.forEach((each) => onOffence?.(each));
  };
  let index = -1;
  for await (const prepared of preparedPictures(count, options)) {
    index += 1;
    onProgress?.(index + 1);
    if ('offences' in prepared) {
      offend(prepared.offences);
      continue;
    }
    if ('isLeftOut' in prepared) {
      leftOut += 1;
      continue;
    }
    const { form, png } = prepared;
    const { path, label } = source.item(index);
    first ??= requireSquare(form, path);
    const unlike = differenceFrom(first, form);
    if (unlike) {
      offend([{ path, ...unlike }]);
      continue;
    }
    if (offenders > 0) continue;
    const name = archiveName(index);
    for (const piece of zip.file(name, png)) await file.write(piece);
    images += 1;
    if (label !== null) labels.push([name, label]);
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

/** What pictures of a data set have in common. */
type Form = Pick<Picture, 'width' | 'height' | 'channels'>;

function requireSquare(form: Form, path: string): Form {
  const { width, height } = form;
  if (width !== height)
    throw new UsageError(
      `${path} comes out with ${width} x ${height} pixels, and the pictures of a data set must be square: --transform center-crop --resolution N makes them so.`,
    );
  return form;
}

function differenceFrom(first: Form, { width, height, channels }: Form): Omit<Offence, 'path'> | undefined {
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

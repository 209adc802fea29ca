import type sharp from 'sharp';
import { FormatError, StfError } from '../../errors.ts';
import type { Picture } from '../../data/resample.ts';
import { refuseBomb } from '../../formats/inflation.ts';
import { jpegFrame } from '../../formats/jpeg.ts';
import { decodePngRaster } from '../../formats/png.ts';

/** What keeps a picture from being used as it is, though it can be mended. */
export type ImageFault = 'RGBA' | '16 bit' | 'CMYK' | 'animated';

/** A picture out of a file, as grey or RGB of 8 bits, and what had to be done to it for that. */
export interface DecodedImage {
  /** 1 or 3 channels. Transparency is left out, 16 bits are scaled to 8, of several pictures it is the first. */
  readonly picture: Picture;
  readonly faults: readonly ImageFault[];
}

/** Endings of the files that are read as pictures. */
const decoded = ['png', 'jpg', 'jpeg', 'jpe', 'jfif', 'webp', 'gif', 'tif', 'tiff'];
/** Endings of pictures that are not read: they are found, and named as such. */
const unread = ['bmp', 'ppm', 'pgm', 'pbm', 'tga', 'jp2', 'heic', 'avif', 'ico', 'psd'];

/** The ending of a path, in lower-case letters and without the dot. */
const endingOf = (path: string): string => /\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? '';

/** Whether a path is that of a picture, by its ending. */
export const isImagePath = (path: string): boolean => [...decoded, ...unread].includes(endingOf(path));

/** Whether a path is that of a PNG file, which is decoded at once, without waiting. */
export const isPngPath = (path: string): boolean => endingOf(path) === 'png';

/** A larger picture is refused before anything is unpacked. */
const mostPixels = 2 ** 28;

let decoder: ReturnType<typeof loadSharp> | undefined;

/**
 * Decodes a picture: PNG, JPEG, WebP, GIF or TIFF. Colour profiles and the orientation that a camera noted are not
 * applied, as in Pillow.
 *
 * @param bytes the whole file
 * @param path  where it is from; its ending does not count
 * @throws FormatError that names the path when it is truncated, damaged or no such picture
 */
export async function decodeImage(bytes: Uint8Array, path: string): Promise<DecodedImage> {
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return decodePngImage(bytes, path);
  if (unread.includes(endingOf(path)))
    throw new FormatError(`${path}: .${endingOf(path)} is not read. Read are: ${decoded.join(', ')}.`);
  const makeImage = await (decoder ??= loadSharp());
  try {
    return await decodeWithSharp(makeImage, bytes);
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').trim();
    throw new FormatError(`${path}: truncated, damaged or no picture: ${reason}`, { cause: error });
  }
}

/**
 * The decoder of all that is not PNG; it has binaries for most machines, but not for every one. It keeps nothing, and
 * takes one thread a picture: there are always several pictures.
 *
 * @throws StfError where it can't be loaded
 */
export async function loadSharp(): Promise<typeof sharp> {
  try {
    const { default: makeImage } = await import('sharp');
    makeImage.cache(false);
    makeImage.concurrency(1);
    return makeImage;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new StfError(`only PNG can be read here: the package sharp can't be loaded (${reason}).`, { cause: error });
  }
}

/** A PNG, without waiting; arguments and errors as of `decodeImage`. */
export function decodePngImage(bytes: Uint8Array, path: string): DecodedImage {
  let raster: ReturnType<typeof decodePngRaster>;
  try {
    raster = decodePngRaster(bytes);
  } catch (error) {
    throw new FormatError(`${path}: truncated or damaged: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const { width, height, channels, bits, isAnimated } = raster;
  const faults: ImageFault[] = [];
  if (isAnimated) faults.push('animated');
  if (bits === 16) faults.push('16 bit');
  const hasAlpha = channels === 2 || channels === 4;
  if (hasAlpha) faults.push('RGBA');
  const data =
    raster.data instanceof Uint16Array ? Uint8Array.from(raster.data, (value) => Math.round(value / 257)) : raster.data;
  const picture = { width, height, channels, data };
  return { picture: hasAlpha ? withoutAlpha(picture) : picture, faults };
}

async function decodeWithSharp(makeImage: typeof sharp, bytes: Uint8Array): Promise<DecodedImage> {
  // `ignoreIcc`: the values as they are, as Pillow has them. One picture of an animation is enough to look at.
  const image = makeImage(bytes, { failOn: 'error', limitInputPixels: mostPixels, ignoreIcc: true });
  // What a JPEG file is, its header tells; asking the library costs a fifth of the time of a small one.
  const kind: PictureKind = jpegKind(bytes) ?? (await image.metadata());
  const { width: columns, height: rows, pages = 1, space, depth, hasAlpha } = kind;
  // Four channels at the most, in 16 bits at the most while they are converted.
  refuseBomb('picture', bytes.length, columns * rows * (depth === 'uchar' ? 4 : 8));
  const faults: ImageFault[] = [];
  if (pages > 1) faults.push('animated');
  if (depth !== 'uchar') faults.push('16 bit');
  if (hasAlpha) faults.push('RGBA');
  if (space === 'cmyk') faults.push('CMYK');
  const isGrey = space === 'b-w' || space === 'grey16';
  const { data, info } = await image
    .toColourspace(isGrey ? 'b-w' : 'srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const picture = { width, height, channels, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  return { picture: channels === 2 || channels === 4 ? withoutAlpha(picture) : picture, faults };
}

/** What a picture is, beside its values. */
interface PictureKind {
  readonly width: number;
  readonly height: number;
  readonly pages?: number | undefined;
  readonly space?: string | undefined;
  readonly depth?: string | undefined;
  readonly hasAlpha?: boolean | undefined;
}

/** What is known of a JPEG file of 8 bits that is grey or in colours; undefined for all others. */
function jpegKind(bytes: Uint8Array): PictureKind | undefined {
  const frame = jpegFrame(bytes);
  const space = ({ 1: 'b-w', 3: 'srgb' } as const)[frame?.channels ?? 0];
  return frame && space && { ...frame, space, depth: 'uchar', hasAlpha: false };
}

/** Without the last of 2 or 4 channels. */
function withoutAlpha({ width, height, channels, data }: Picture): Picture {
  const kept = channels - 1;
  const out = new Uint8Array(width * height * kept);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < kept; c++) out[i * kept + c] = data[i * channels + c];
  return { width, height, channels: kept, data: out };
}

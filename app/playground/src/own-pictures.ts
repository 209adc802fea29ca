import { fromPlanes, pictureTransform } from 'stable-target-field';
import type { Picture } from 'stable-target-field';

/* The visitor's own pictures: few and small, so that two networks learn them within a minute. */

/** Pixels of a side in training; a picture is kept two pixels larger, which leaves room to move it. */
export const ownSide = 16;
const keptSide = ownSide + 2;

/** Pictures at most. */
export const mostPictures = 24;

/** Where the versions of a picture are cut out of it. */
const corners = [
  [1, 1],
  [0, 0],
  [2, 0],
  [0, 2],
  [2, 2],
] as const;

/** Versions of a picture: cut out at five places, each as it is and mirrored. */
export const versionsEach = 2 * corners.length;

const shrink = pictureTransform('center-crop', { width: keptSide, height: keptSide });

/** The square in the middle of a picture, in grey as television had it (Rec. 601): pixels [18, 18]. */
export function keptOf(picture: Picture): Uint8Array {
  const { data } = shrink(picture)!;
  return Uint8Array.from({ length: data.length / 3 }, (_, i) =>
    Math.round(0.299 * data[3 * i] + 0.587 * data[3 * i + 1] + 0.114 * data[3 * i + 2]),
  );
}

/** The first version of a picture that was kept. */
export const plainOf = (kept: Uint8Array): Uint8Array => versionOf(kept, 0);

function versionOf(kept: Uint8Array, version: number): Uint8Array {
  const [left, top] = corners[version >> 1];
  const isMirrored = version % 2 === 1;
  const out = new Uint8Array(ownSide * ownSide);
  for (let at = 0; at < out.length; at++) {
    const [x, y] = [at % ownSide, Math.floor(at / ownSide)];
    out[at] = kept[(top + y) * keptSide + left + (isMirrored ? ownSide - 1 - x : x)];
  }
  return out;
}

/**
 * A data set of a few pictures: all versions of each, so that there is something to draw references from.
 *
 * @param pictures  as `keptOf` gives them
 * @returns         pixels [10 · pictures, 1, 16, 16]
 */
export function ownPixels(pictures: readonly Uint8Array[]): Uint8Array {
  const size = ownSide * ownSide;
  const pixels = new Uint8Array(pictures.length * versionsEach * size);
  pictures.forEach((kept, i) => {
    for (let version = 0; version < versionsEach; version++)
      pixels.set(versionOf(kept, version), (i * versionsEach + version) * size);
  });
  return pixels;
}

/** Bytes of a file, and pixels of a side, at most: beyond that a phone runs out of memory while it decodes. */
const [mostBytes, longestSide] = [30e6, 12_000];
/** Pixels of a side that are looked at. */
const lookedAt = 512;

/** Files that are named when they could not be used. */
const mostFaults = 4;

/** A file that could not be used, in words. */
class Unusable extends Error {}

/**
 * Decodes files with what the browser has. Nothing leaves the page.
 *
 * @param room  pictures that still fit
 * @returns     pictures as `keptOf` gives them, and a sentence for each thing that went wrong
 */
export async function readPictures(
  files: readonly File[],
  room: number,
): Promise<{ pictures: Uint8Array[]; faults: string[] }> {
  const pictures: Uint8Array[] = [];
  const faults: string[] = [];
  for (const [i, file] of files.entries()) {
    if (pictures.length === room) {
      const left = files.length - i;
      faults.push(
        `${mostPictures} pictures are the most: ${left === 1 ? `${file.name} was` : `${left} files were`} left out.`,
      );
      break;
    }
    try {
      pictures.push(keptOf(await decoded(file)));
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      faults.push(error.message);
    }
  }
  const more = faults.length - mostFaults;
  if (more > 0) faults.splice(mostFaults, more, `${more === 1 ? 'One more file' : `${more} more files`} likewise.`);
  return { pictures, faults };
}

/** The square in the middle of a picture file, on white where it is transparent. */
async function decoded(file: File): Promise<Picture> {
  if (!file.type.startsWith('image/'))
    throw new Unusable(`${file.name} is not a picture. Choose PNG, JPEG, WebP or GIF files.`);
  if (file.size > mostBytes)
    throw new Unusable(`${file.name} has ${Math.round(file.size / 1e6)} MB; files of up to 30 MB can be read.`);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Unusable(
      `${file.name} could not be read: it is damaged, or of a kind that this browser does not know. PNG and JPEG always work.`,
    );
  }
  try {
    const { width, height } = bitmap;
    if (Math.max(width, height) > longestSide)
      throw new Unusable(`${file.name} is ${width} × ${height} pixels; up to ${longestSide} a side can be read.`);
    const square = Math.min(width, height);
    const side = Math.min(square, lookedAt);
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, side, side);
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, (width - square) / 2, (height - square) / 2, square, square, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const colours = new Uint8Array(3 * side * side);
    for (let i = 0; i < side * side; i++) colours.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
    return { width: side, height: side, channels: 3, data: colours };
  } finally {
    bitmap.close();
  }
}

/** Pixels of a picture as a canvas takes them. */
export function rgbaOf(planes: Uint8Array, shape: readonly number[]): ImageData {
  const { width, height, channels, data } = fromPlanes(planes, shape);
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[channels * i + Math.min(c, channels - 1)];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

import { UsageError } from '../errors.ts';
import { roundHalfToEven } from '../numerics/rounding.ts';
import { resize, resizeInFloat } from './resample.ts';
import type { Picture } from './resample.ts';

/** What is made of every picture of a data set; undefined: the picture is left out. */
export type PictureTransform = (picture: Picture) => Picture | undefined;

export const cropNames = ['center-crop', 'center-crop-wide'] as const;
export type CropName = (typeof cropNames)[number];

/** Width and height of the pictures of a data set. */
export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/**
 * Cropping and resizing as EDM's data-set tool does it, with the Lanczos filter of Pillow, to the pixel:
 *
 *   none              the whole picture is resized to `size`, or left as it is without one
 *   center-crop       the largest square in the middle, resized; grey becomes RGB
 *   center-crop-wide  the middle rows that have the proportions of `size`, resized, on a black square of its width; a
 *                     picture that is smaller is left out; grey becomes RGB
 *
 * @throws UsageError for a crop without a size, or a wide one that is higher than wide
 */
export function pictureTransform(name: CropName | undefined, size: PictureSize | undefined): PictureTransform {
  if (name === undefined) return size ? (picture) => resize(picture, size.width, size.height) : (picture) => picture;
  if (!size) throw new UsageError(`--transform ${name} needs --resolution, the size to crop to.`);
  if (name === 'center-crop') return (picture) => resize(asRgb(centreSquare(picture)), size.width, size.height);
  if (size.height > size.width)
    throw new UsageError(
      `--transform center-crop-wide needs a --resolution that is at least as wide as high, got ${size.width}x${size.height}.`,
    );
  return (picture) => wide(picture, size);
}

/** A transform as plain data: that of `pictureTransform`, or `celeba64`, which has its size. */
export type PictureRecipe =
  { readonly crop?: CropName | undefined; readonly size?: PictureSize | undefined } | { readonly crop: 'celeba64' };

/** The transform of a recipe. Throws as `pictureTransform` does. */
export const transformOf = (recipe: PictureRecipe): PictureTransform =>
  recipe.crop === 'celeba64' ? celeba64 : pictureTransform(recipe.crop, recipe.size);

/**
 * CelebA at 64 x 64 as score-SDE prepares it: the 140 x 140 pixels in the middle, shrunk to 64 x 64 linearly with
 * antialiasing (a triangle as wide as two target pixels). Theirs stay float; here they are rounded to pixels.
 *
 * @throws UsageError when the picture is smaller than the crop
 */
export function celeba64(picture: Picture): Picture {
  const { width, height } = picture;
  if (width < 140 || height < 140)
    throw new UsageError(`the picture has ${width} x ${height} pixels, and 140 x 140 are cut out of its middle`);
  const left = Math.floor((width - 140) / 2);
  const top = Math.floor((height - 140) / 2);
  return resizeInFloat(asRgb(cropped(picture, { left, top, width: 140, height: 140 })), 64, 64, 'triangle');
}

/** The largest square in the middle. */
function centreSquare(picture: Picture): Picture {
  const { width, height } = picture;
  const side = Math.min(width, height);
  const left = Math.floor((width - side) / 2);
  const top = Math.floor((height - side) / 2);
  return cropped(picture, { left, top, width: side, height: side });
}

function wide(picture: Picture, size: PictureSize): Picture | undefined {
  const height = roundHalfToEven((size.width * picture.height) / picture.width);
  if (picture.width < size.width || height < size.height) return undefined;
  const top = Math.floor((picture.height - height) / 2);
  const middle = cropped(picture, { left: 0, top, width: picture.width, height });
  const { data } = resize(asRgb(middle), size.width, size.height);
  const square = new Uint8Array(size.width * size.width * 3);
  square.set(data, Math.floor((size.width - size.height) / 2) * size.width * 3);
  return { width: size.width, height: size.width, channels: 3, data: square };
}

/** A part of a picture. */
function cropped(
  { width: pitch, channels, data }: Picture,
  { left, top, width, height }: PictureSize & { left: number; top: number },
): Picture {
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * pitch + left) * channels;
    out.set(data.subarray(from, from + width * channels), y * width * channels);
  }
  return { width, height, channels, data: out };
}

/** Grey as three equal channels. */
export function asRgb(picture: Picture): Picture {
  if (picture.channels !== 1) return picture;
  const data = new Uint8Array(3 * picture.data.length);
  for (let i = 0; i < data.length; i++) data[i] = picture.data[Math.floor(i / 3)];
  return { ...picture, channels: 3, data };
}

/** [height, width, channels] to planes, [channels, height, width]: how samples lie in memory. */
export function toPlanes({ width, height, channels, data }: Picture): Uint8Array {
  const size = width * height;
  const planes = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) planes[c * size + i] = data[i * channels + c];
  return planes;
}

/** The other way round. */
export function fromPlanes(planes: Uint8Array, [channels, height, width]: readonly number[]): Picture {
  const size = width * height;
  const data = new Uint8Array(planes.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) data[i * channels + c] = planes[c * size + i];
  return { width, height, channels, data };
}

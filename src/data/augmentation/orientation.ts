/** One of the eight ways to lay down an image: turned over or not along each side, then rows made columns or not. */
export interface Orientation {
  readonly flipX: boolean;
  readonly flipY: boolean;
  /** After the flips; for square images only. */
  readonly transpose: boolean;
}

/** As it was. */
export const upright: Orientation = { flipX: false, flipY: false, transpose: false };

/** Whether an image is left as it was. */
export const isUpright = ({ flipX, flipY, transpose }: Orientation): boolean => !flipX && !flipY && !transpose;

/**
 * Lays down an image: moves pixels, and changes none.
 *
 * @param source  planes [channels, height, width]
 * @param out     receives the same number of values; must not overlap with `source`
 */
export function orient(
  source: Float32Array,
  out: Float32Array,
  [channels, height, width]: readonly number[],
  { flipX, flipY, transpose }: Orientation,
): void {
  // Where the value at (y, x) of the result comes from: start + y · perRow + x · perColumn.
  const start = (flipY ? (height - 1) * width : 0) + (flipX ? width - 1 : 0);
  const alongY = flipY ? -width : width;
  const alongX = flipX ? -1 : 1;
  const perRow = transpose ? alongX : alongY;
  const perColumn = transpose ? alongY : alongX;
  let to = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      let from = channel * height * width + start + y * perRow;
      for (let x = 0; x < width; x++, from += perColumn) out[to++] = source[from];
    }
  }
}

/** The orientation that undoes another one: flips commute, and a transposition exchanges them. */
export const inverseOrientation = ({ flipX, flipY, transpose }: Orientation): Orientation =>
  transpose ? { flipX: flipY, flipY: flipX, transpose } : { flipX, flipY, transpose };

/**
 * Moves an image by whole pixels: to the right by `shiftX` and up by `shiftY`. What comes in is its mirror image, in which
 * the pixels of the edge are not repeated.
 *
 * @param source  planes [channels, height, width]
 * @param out     receives the same number of values; must not overlap with `source`
 */
export function shift(
  source: Float32Array,
  out: Float32Array,
  [channels, height, width]: readonly number[],
  { shiftX, shiftY }: { readonly shiftX: number; readonly shiftY: number },
): void {
  const columns = Int32Array.from({ length: width }, (_, x) => reflect(x - shiftX, width));
  let to = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const row = (channel * height + reflect(y + shiftY, height)) * width;
      for (let x = 0; x < width; x++) out[to++] = source[row + columns[x]];
    }
  }
}

/** The place within 0 .. size-1 that a place outside mirrors; 0, 1, 2, 1, 0, 1, ... for three. */
export function reflect(place: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const within = ((place % period) + period) % period;
  return within < size ? within : period - within;
}

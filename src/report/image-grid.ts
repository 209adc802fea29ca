import { NonFiniteError, ShapeError, UsageError } from '../errors.ts';

/**
 * Sample value to pixel, value by value: uint8(clip(127.5 x + 128, 0, 255)), where uint8 cuts the fraction off, so
 * that -1 becomes 0, 0 becomes 128 and 1 becomes 255. Karras et al. 2022, `generate.py` of the official code. This is
 * the only home of the formula; it is worked in float64 as there, whatever the input's type.
 *
 * @param images           values in [-1, 1]; what lies outside is clipped
 * @param elementsPerImage values an image has; only used to name the image in an error
 * @returns pixels 0..255 in the same order; the input is left unchanged
 * @throws NonFiniteError for NaN or infinity: such a sample has no colour
 */
export function toUint8(images: Float32Array | Float64Array, elementsPerImage = images.length): Uint8Array {
  const pixels = new Uint8Array(images.length);
  for (let i = 0; i < images.length; i++) {
    const x = images[i];
    if (!Number.isFinite(x)) {
      const image = Math.floor(i / elementsPerImage);
      throw new NonFiniteError(`images: image ${image} has the value ${x} at its element ${i % elementsPerImage}`);
    }
    pixels[i] = Math.min(Math.max(x * 127.5 + 128, 0), 255);
  }
  return pixels;
}

export interface ImageGridOptions {
  /** Planar images [count, channels, height, width]: float samples in [-1, 1], or pixels 0..255. */
  images: Float32Array | Uint8Array;
  count: number;
  /** 1 (grey) or 3 (red, green, blue). */
  channels: number;
  height: number;
  width: number;
  /** Images in a row; the grid has ceil(count / columns) rows. */
  columns: number;
  /** White pixels between neighbouring images, not magnified. Default 2; 0 gives the gapless grid of EDM. */
  gap?: number;
  /** Side of the square that a pixel becomes, a whole number. Default 1. */
  scale?: number;
}

/** An image as PNG encoders take it: rows from top to bottom, the channels of a pixel side by side. */
export interface InterleavedImage {
  width: number;
  height: number;
  channels: 1 | 3;
  /** [height, width, channels], 0..255. */
  data: Uint8Array;
}

/**
 * Lays images out in rows on white, from left to right and top to bottom; places left over stay white.
 *
 * @throws ShapeError when `images` does not have count * channels * height * width values
 * @throws UsageError for a size that is not a whole number in its range
 * @throws NonFiniteError for float images with NaN or infinity, naming the image
 */
export function imageGrid(options: ImageGridOptions): InterleavedImage {
  const { images, count, channels, height, width, columns, gap = 2, scale = 1 } = options;
  for (const [name, value] of Object.entries({ count, height, width, columns, scale })) atLeast(name, value, 1);
  atLeast('gap', gap, 0);
  if (channels !== 1 && channels !== 3) {
    throw new UsageError(`imageGrid: channels must be 1 (grey) or 3 (colour), got ${channels}`);
  }
  const elements = channels * height * width;
  if (images.length !== count * elements) {
    const shape = [count, channels, height, width].join(', ');
    throw new ShapeError(`imageGrid: images [${shape}] needs ${count * elements} values, got ${images.length}`);
  }
  const pixels = images instanceof Uint8Array ? images : toUint8(images, elements);

  const rows = Math.ceil(count / columns);
  const pitchX = width * scale + gap;
  const pitchY = height * scale + gap;
  const gridWidth = columns * pitchX - gap;
  const gridHeight = rows * pitchY - gap;
  const data = new Uint8Array(gridWidth * gridHeight * channels).fill(255);
  for (let n = 0; n < count; n++) {
    const left = (n % columns) * pitchX;
    const top = Math.floor(n / columns) * pitchY;
    for (let c = 0; c < channels; c++) {
      const plane = n * elements + c * height * width;
      for (let y = 0; y < height * scale; y++) {
        const source = plane + Math.floor(y / scale) * width;
        const target = ((top + y) * gridWidth + left) * channels + c;
        for (let x = 0; x < width * scale; x++) {
          data[target + x * channels] = pixels[source + Math.floor(x / scale)]!;
        }
      }
    }
  }
  return { width: gridWidth, height: gridHeight, channels, data };
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new UsageError(`imageGrid: ${name} must be a whole number of at least ${least}, got ${value}`);
  }
}

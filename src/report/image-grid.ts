import { toUint8 } from '../data/pixels.ts';
import { ShapeError, UsageError } from '../errors.ts';

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

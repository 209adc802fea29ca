import { compose, scaling, translation } from './affine.ts';
import type { Affine } from './affine.ts';
import { reflect } from './orientation.ts';
import { sym6 } from './wavelet.ts';

/*
 * Geometric transforms as Karras et al. 2020, appendix B.2, do them: the image is continued by its mirror image, doubled
 * in size, sampled bilinearly on a grid of twice the resolution, and halved. The filter of both is a wavelet's.
 */

/** Mirrored pixels on each side of an image. */
export interface Margins {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Pixels that the filter reaches, and by which more is sampled than is kept. */
const reach = sym6.length / 4;

/**
 * How many mirrored pixels a transform may look at: as far as the corners of the result reach, with room for the filter,
 * and no more than there are.
 *
 * @param inverse  from places of the result to places of the image, in pixels from the centre
 */
export function marginsFor(inverse: Affine, height: number, width: number): Margins {
  const [right, bottom] = [(width - 1) / 2, (height - 1) / 2];
  // Of the four corners, (±right, ±bottom): the largest value of a linear map is the sum of its parts' magnitudes.
  const x = Math.abs(inverse.xx) * right + Math.abs(inverse.xy) * bottom;
  const y = Math.abs(inverse.yx) * right + Math.abs(inverse.yy) * bottom;
  const within = (pixels: number, size: number): number =>
    Math.ceil(Math.min(Math.max(pixels + 2 * reach - (size - 1) / 2, 0), size - 1));
  return {
    left: within(x - inverse.x0, width),
    top: within(y - inverse.y0, height),
    right: within(x + inverse.x0, width),
    bottom: within(y + inverse.y0, height),
  };
}

/** The margins that several transforms need. */
export const widestMargins = (all: readonly Margins[]): Margins => ({
  left: Math.max(...all.map(({ left }) => left)),
  top: Math.max(...all.map(({ top }) => top)),
  right: Math.max(...all.map(({ right }) => right)),
  bottom: Math.max(...all.map(({ bottom }) => bottom)),
});

/** Arrays that are used again for every image, and grow to the largest that was needed. */
class Room {
  private values = new Float32Array(0);

  /** So many values, of which nothing is known. */
  take(length: number): Float32Array {
    if (this.values.length < length) this.values = new Float32Array(length);
    return this.values.subarray(0, length);
  }
}

/** Resamples images of one shape. */
export interface Resampler {
  /**
   * @param image    planes [channels, height, width]
   * @param out      receives the same number of values; must not overlap with `image`
   * @param inverse  from places of the result to places of the image, in pixels from the centre
   * @param margins  those of `marginsFor` when left out
   */
  (image: Float32Array, out: Float32Array, inverse: Affine, margins?: Margins): void;
}

/** @param sampleShape  [channels, height, width] */
export function makeResampler([channels, height, width]: readonly number[]): Resampler {
  const [lineRoom, wideRoom, largeRoom, sampledRoom] = [new Room(), new Room(), new Room(), new Room()];
  const halved = new Float32Array(channels * 2 * (height + 2 * reach) * width);

  return (image, out, inverse, margins = marginsFor(inverse, height, width)) => {
    const large = doubled(image, margins);
    sample(large, toDoubled(inverse, margins));
    halveRows(out);
  };

  /** The image with its margins at twice the size, with a border of one zero on every side [channels, h + 2, w + 2]. */
  function doubled(image: Float32Array, { left, top, right, bottom }: Margins) {
    const [padded, rows] = [left + width + right, top + height + bottom];
    const [w, h] = [2 * padded, 2 * rows];
    const stride = w + 2;
    const plane = (h + 2) * stride;
    const line = lineRoom.take(padded + 2 * reach).fill(0);
    const columns = Int32Array.from({ length: padded }, (_, x) => reflect(x - left, width));
    const wide = wideRoom.take((height + 1) * w);
    // After the rows of the image one of zeros, which stands for all beyond the margins.
    wide.fill(0, height * w);
    const sourceRow = (y: number): number => (y < 0 || y >= rows ? height : reflect(y - top, height)) * w;
    const values = largeRoom.take(channels * plane);
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < height; y++) {
        const from = (channel * height + y) * width;
        for (let x = 0; x < padded; x++) line[reach + x] = image[from + columns[x]];
        doubleLine(line, wide, y * w, padded);
      }
      const start = channel * plane;
      values.fill(0, start, start + stride);
      values.fill(0, start + plane - stride, start + plane);
      for (let y = 0; y < h; y++) {
        const to = start + (y + 1) * stride;
        values[to] = 0;
        values[to + stride - 1] = 0;
        const odd = y & 1;
        const first = (y >> 1) - reach + odd;
        combineRows(
          wide,
          values,
          to + 1,
          w,
          odd,
          [0, 1, 2, 3, 4, 5].map((k) => sourceRow(first + k)),
        );
      }
    }
    return { values, w, h, stride, plane };
  }

  /** Bilinear samples on the doubled grid, each row of which is halved at once: [channels, 2 (height + 2 reach), width]. */
  function sample(
    { values, w, h, stride, plane }: { values: Float32Array; w: number; h: number; stride: number; plane: number },
    { xx, xy, x0, yx, yy, y0 }: Affine,
  ): void {
    const [gridWidth, gridHeight] = [2 * (width + 2 * reach), 2 * (height + 2 * reach)];
    const line = sampledRoom.take(channels * gridWidth);
    // The rows and columns at the very ends are beyond the filter.
    for (let row = 1; row < gridHeight - 1; row++) {
      const v = row + 0.5 - gridHeight / 2;
      // Counted from the border of zeros.
      const startX = xy * v + x0 + w / 2 + 0.5 + xx * (0.5 - gridWidth / 2);
      const startY = yy * v + y0 + h / 2 + 0.5 + yx * (0.5 - gridWidth / 2);
      for (let column = 1; column < gridWidth - 1; column++) {
        const x = startX + xx * column;
        const y = startY + yx * column;
        if (!(x > 0 && y > 0 && x < w + 1 && y < h + 1)) {
          for (let channel = 0; channel < channels; channel++) line[channel * gridWidth + column] = 0;
          continue;
        }
        const left = x | 0;
        const top = y | 0;
        const fx = x - left;
        const fy = y - top;
        let at = top * stride + left;
        for (let channel = 0; channel < channels; channel++, at += plane) {
          const upper = values[at] + fx * (values[at + 1] - values[at]);
          const lower = values[at + stride] + fx * (values[at + stride + 1] - values[at + stride]);
          line[channel * gridWidth + column] = upper + fy * (lower - upper);
        }
      }
      for (let channel = 0; channel < channels; channel++)
        halveLine(line, channel * gridWidth, halved, (channel * gridHeight + row) * width, width);
    }
  }

  /** Halves the rows of what was sampled. */
  function halveRows(out: Float32Array): void {
    const gridHeight = 2 * (height + 2 * reach);
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < height; y++) {
        const from = (channel * gridHeight + 2 * y + 1) * width;
        const to = (channel * height + y) * width;
        for (let x = 0; x < width; x++) {
          let at = from + x;
          let total = 0;
          for (let k = 0; k < sym6.length; k++, at += width) total += sym6[k] * halved[at];
          out[to + x] = total;
        }
      }
    }
  }
}

/** The same map between places at twice the resolution, of the result and of the image with its margins. */
const toDoubled = (inverse: Affine, { left, top, right, bottom }: Margins): Affine =>
  compose(
    translation(-0.5, -0.5),
    scaling(2, 2),
    translation((left - right) / 2, (top - bottom) / 2),
    inverse,
    scaling(0.5, 0.5),
    translation(0.5, 0.5),
  );

const [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, h11] = sym6;

/** Doubles a line with `reach` zeros on both sides: place i gets Σ_m h[i + 5 - 2m] line[m]. */
function doubleLine(line: Float32Array, out: Float32Array, to: number, length: number): void {
  for (let m = 0, at = to; m < length; m++, at += 2) {
    const b = line[m + 1];
    const c = line[m + 2];
    const d = line[m + 3];
    const e = line[m + 4];
    const f = line[m + 5];
    out[at] = h11 * line[m] + h9 * b + h7 * c + h5 * d + h3 * e + h1 * f;
    out[at + 1] = h10 * b + h8 * c + h6 * d + h4 * e + h2 * f + h0 * line[m + 6];
  }
}

/** One row of the doubled image from six of `rows`, by the even or the odd taps. */
function combineRows(
  wide: Float32Array,
  out: Float32Array,
  to: number,
  length: number,
  odd: number,
  [r0, r1, r2, r3, r4, r5]: readonly number[],
): void {
  const [a, b, c, d, e, f] = odd === 1 ? [h10, h8, h6, h4, h2, h0] : [h11, h9, h7, h5, h3, h1];
  for (let x = 0; x < length; x++)
    out[to + x] =
      a * wide[r0 + x] + b * wide[r1 + x] + c * wide[r2 + x] + d * wide[r3 + x] + e * wide[r4 + x] + f * wide[r5 + x];
}

/** Halves a line: place i gets Σ_k h[k] line[2i + 1 + k]. */
function halveLine(line: Float32Array, from: number, out: Float32Array, to: number, length: number): void {
  for (let i = 0, at = from + 1; i < length; i++, at += 2)
    out[to + i] =
      h0 * line[at] +
      h1 * line[at + 1] +
      h2 * line[at + 2] +
      h3 * line[at + 3] +
      h4 * line[at + 4] +
      h5 * line[at + 5] +
      h6 * line[at + 6] +
      h7 * line[at + 7] +
      h8 * line[at + 8] +
      h9 * line[at + 9] +
      h10 * line[at + 10] +
      h11 * line[at + 11];
}

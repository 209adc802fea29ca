import { ShapeError, UsageError } from '../errors.ts';

/*
 * Resizing pictures by separable filters. The filter is stretched over the source when the picture shrinks, so that every
 * source pixel counts, and its weights are normalised to sum to 1 (at borders too, where it is cut off). Output pixel i
 * is centred on (i + 1/2) s, s = source / target.
 */

/** A picture, rows from the top, the channels of a pixel side by side. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** [height, width, channels], 0 to 255 */
  readonly data: Uint8Array;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Filters by name: support on either side, and values at a distance. */
const filters = {
  /** Mean of the pixels under the target pixel. */
  box: { support: 0.5, at: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  /** Linear interpolation, and the same stretched when shrinking: `tf.image.resize` with antialias. */
  triangle: { support: 1, at: (x: number) => Math.max(1 - Math.abs(x), 0) },
  /** Lanczos of three lobes. */
  lanczos: { support: 3, at: (x: number) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type ResampleFilter = keyof typeof filters;
export const resampleFilters = Object.keys(filters) as ResampleFilter[];

/**
 * Weights of one axis: target pixel i is the sum of `count[i]` source pixels from `first[i]` on, times the weights from
 * i · `most` on.
 */
interface AxisWeights<Weights extends Float64Array | Int32Array> {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly most: number;
  readonly weights: Weights;
}

const mostKnown = 256;

/** A function of an axis that remembers what it gave: data sets ask for the same again and again. */
function remembered<T>(
  make: (source: number, target: number, filter: ResampleFilter) => T,
): (source: number, target: number, filter: ResampleFilter) => T {
  const known = new Map<string, T>();
  return (source, target, filter) => {
    const key = `${filter} ${source} ${target}`;
    const found = known.get(key);
    if (found) return found;
    if (known.size >= mostKnown) known.clear();
    const made = make(source, target, filter);
    known.set(key, made);
    return made;
  };
}

/** The weights of `target` pixels out of `source` pixels. */
const axisWeights = remembered((source, target, filter): AxisWeights<Float64Array> => {
  const { support, at } = filters[filter];
  const scale = source / target;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const first = new Int32Array(target);
  const rows: Float64Array[] = [];
  for (let i = 0; i < target; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const to = Math.min(Math.trunc(centre + reach + 0.5), source);
    const row = Float64Array.from({ length: to - from }, (_, k) => at((k + from - centre + 0.5) * (1 / stretch)));
    const sum = row.reduce((total, weight) => total + weight, 0);
    first[i] = from;
    rows.push(sum === 0 ? row : row.map((weight) => weight / sum));
  }
  const count = Int32Array.from(rows, ({ length }) => length);
  const most = count.reduce((a, b) => Math.max(a, b));
  const weights = new Float64Array(target * most);
  rows.forEach((row, i) => weights.set(row, i * most));
  return { first, count, most, weights };
});

/** Bits behind the point of Pillow's weights: products of 8 bits, two bits for overshoot, within 32. */
const fixedBits = 22;

/**
 * Resizes a picture exactly as Pillow does (`Image.resize` of 8-bit modes), to the last bit: weights as integers of 22
 * bits behind the point, rows first and then columns, rounded to 8 bits in between; an axis whose length stays is left
 * alone. Source: the documentation of Pillow's Resample.c and its published behaviour.
 *
 * @throws UsageError for a size below 1, ShapeError when `data` does not have the values of the picture
 */
export function resize(picture: Picture, width: number, height: number, filter: ResampleFilter = 'lanczos'): Picture {
  check(picture, width, height);
  const narrowed = width === picture.width ? picture : alongRows(picture, fixedAxis(picture.width, width, filter));
  return height === picture.height ? narrowed : alongColumns(narrowed, fixedAxis(picture.height, height, filter));
}

/** As `axisWeights`, in fixed point. */
const fixedAxis = remembered((source, target, filter): AxisWeights<Int32Array> => {
  const axis = axisWeights(source, target, filter);
  const fixed = (weight: number): number => Math.trunc(weight * 2 ** fixedBits + (weight < 0 ? -0.5 : 0.5));
  return { ...axis, weights: Int32Array.from(axis.weights, fixed) };
});

/** Rounds a sum in fixed point to 0..255. */
const clip = (sum: number): number => {
  const value = sum >> fixedBits;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};
const half = 1 << (fixedBits - 1);

function alongRows({ width, height, channels, data }: Picture, axis: AxisWeights<Int32Array>): Picture {
  const { first, count, most, weights } = axis;
  const target = first.length;
  const out = new Uint8Array(target * height * channels);
  // Sums are taken in 32 bits, as Pillow's are; those of a coloured pixel at once, in registers.
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < target; x++, to += channels) {
      const from = (y * width + first[x]) * channels;
      const begin = x * most;
      const end = begin + count[x];
      if (channels === 3) {
        let [red, green, blue] = [half, half, half];
        for (let k = begin, at = from; k < end; k++, at += 3) {
          const weight = weights[k];
          red = (red + Math.imul(data[at], weight)) | 0;
          green = (green + Math.imul(data[at + 1], weight)) | 0;
          blue = (blue + Math.imul(data[at + 2], weight)) | 0;
        }
        out[to] = clip(red);
        out[to + 1] = clip(green);
        out[to + 2] = clip(blue);
        continue;
      }
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let k = begin, at = from + c; k < end; k++, at += channels)
          sum = (sum + Math.imul(data[at], weights[k])) | 0;
        out[to + c] = clip(sum);
      }
    }
  }
  return { width: target, height, channels, data: out };
}

function alongColumns({ width, channels, data }: Picture, axis: AxisWeights<Int32Array>): Picture {
  const { first, count, most, weights } = axis;
  const pitch = width * channels;
  const target = first.length;
  const out = new Uint8Array(target * pitch);
  for (let y = 0, to = 0; y < target; y++) {
    const begin = y * most;
    const end = begin + count[y];
    const from = first[y] * pitch;
    for (let i = 0; i < pitch; i++) {
      let sum = half;
      for (let k = begin, at = from + i; k < end; k++, at += pitch) sum = (sum + Math.imul(data[at], weights[k])) | 0;
      out[to++] = clip(sum);
    }
  }
  return { width, height: target, channels, data: out };
}

/** Weights are fractions, so that exact halves are common: they go up, whatever the order of summation. */
const hair = 1e-9;

/**
 * Resizes a picture in floating point and rounds once at the end: what `tf.image.resize(..., antialias=True)` gives for
 * the triangle, rounded to pixels.
 *
 * @throws UsageError for a size below 1, ShapeError when `data` does not have the values of the picture
 */
export function resizeInFloat(picture: Picture, width: number, height: number, filter: ResampleFilter): Picture {
  check(picture, width, height);
  const { channels, data } = picture;
  const across = axisWeights(picture.width, width, filter);
  const down = axisWeights(picture.height, height, filter);
  const pitch = width * channels;
  const narrowed = new Float64Array(pitch * picture.height);
  for (let y = 0, to = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++, to += channels) {
      const from = (y * picture.width + across.first[x]) * channels;
      const begin = x * across.most;
      const end = begin + across.count[x];
      if (channels === 3) {
        let [red, green, blue] = [0, 0, 0];
        for (let k = begin, at = from; k < end; k++, at += 3) {
          const weight = across.weights[k];
          red += weight * data[at];
          green += weight * data[at + 1];
          blue += weight * data[at + 2];
        }
        narrowed[to] = red;
        narrowed[to + 1] = green;
        narrowed[to + 2] = blue;
        continue;
      }
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = begin, at = from + c; k < end; k++, at += channels) sum += across.weights[k] * data[at];
        narrowed[to + c] = sum;
      }
    }
  }
  const out = new Uint8ClampedArray(height * pitch);
  for (let y = 0, to = 0; y < height; y++) {
    const begin = y * down.most;
    const end = begin + down.count[y];
    const from = down.first[y] * pitch;
    for (let i = 0; i < pitch; i++) {
      let sum = 0;
      for (let k = begin, at = from + i; k < end; k++, at += pitch) sum += down.weights[k] * narrowed[at];
      // Kept in 0 .. 255 by the array.
      out[to++] = Math.floor(sum + 0.5 + hair);
    }
  }
  return { width, height, channels, data: new Uint8Array(out.buffer) };
}

function check({ width, height, channels, data }: Picture, targetWidth: number, targetHeight: number): void {
  for (const [name, value] of Object.entries({ width: targetWidth, height: targetHeight }))
    if (!Number.isInteger(value) || value < 1)
      throw new UsageError(`resize: ${name} must be an integer of at least 1, got ${value}`);
  if (data.length !== width * height * channels || data.length === 0)
    throw new ShapeError(
      `resize: a picture of ${width} x ${height} x ${channels} has ${width * height * channels} values, got ${data.length}`,
    );
}

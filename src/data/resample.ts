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

/** Weights of one axis: target pixel i is the sum of `weights[i]` times the source pixels from `first[i]` on. */
interface AxisWeights {
  readonly first: Int32Array;
  readonly weights: readonly Float64Array[];
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
const axisWeights = remembered((source, target, filter): AxisWeights => {
  const { support, at } = filters[filter];
  const scale = source / target;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const first = new Int32Array(target);
  const weights: Float64Array[] = [];
  for (let i = 0; i < target; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const to = Math.min(Math.trunc(centre + reach + 0.5), source);
    const row = Float64Array.from({ length: to - from }, (_, k) => at((k + from - centre + 0.5) * (1 / stretch)));
    const sum = row.reduce((total, weight) => total + weight, 0);
    first[i] = from;
    weights.push(sum === 0 ? row : row.map((weight) => weight / sum));
  }
  return { first, weights };
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

/** The weights as integers, and where they begin. */
interface FixedAxis {
  readonly first: Int32Array;
  readonly weights: readonly Int32Array[];
}

/** As `axisWeights`, in fixed point. */
const fixedAxis = remembered((source, target, filter): FixedAxis => {
  const { first, weights } = axisWeights(source, target, filter);
  const integers = weights.map((row) =>
    Int32Array.from(row, (weight) => Math.trunc(weight * 2 ** fixedBits + (weight < 0 ? -0.5 : 0.5))),
  );
  return { first, weights: integers };
});

/** Rounds a sum in fixed point to 0..255. */
const clip = (sum: number): number => {
  const value = sum >> fixedBits;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};
const half = 1 << (fixedBits - 1);

function alongRows({ width, height, channels, data }: Picture, { first, weights }: FixedAxis): Picture {
  const target = weights.length;
  const out = new Uint8Array(target * height * channels);
  // A row of weights after the other keeps them at hand; sums are taken in 32 bits, as Pillow's are.
  for (let x = 0; x < target; x++) {
    const row = weights[x];
    for (let y = 0; y < height; y++) {
      const from = (y * width + first[x]) * channels;
      const to = (y * target + x) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let k = 0, at = from + c; k < row.length; k++, at += channels)
          sum = (sum + Math.imul(data[at], row[k])) | 0;
        out[to + c] = clip(sum);
      }
    }
  }
  return { width: target, height, channels, data: out };
}

function alongColumns({ width, channels, data }: Picture, { first, weights }: FixedAxis): Picture {
  const pitch = width * channels;
  const target = weights.length;
  const out = new Uint8Array(target * pitch);
  const sums = new Int32Array(pitch);
  for (let y = 0; y < target; y++) {
    sums.fill(half);
    weights[y].forEach((weight, k) => {
      const row = (first[y] + k) * pitch;
      for (let i = 0; i < pitch; i++) sums[i] += Math.imul(data[row + i], weight);
    });
    for (let i = 0; i < pitch; i++) out[y * pitch + i] = clip(sums[i]);
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
  const narrowed = new Float64Array(width * picture.height * channels);
  for (let y = 0, to = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      const row = across.weights[x];
      const from = (y * picture.width + across.first[x]) * channels;
      for (let c = 0; c < channels; c++, to++) {
        let sum = 0;
        for (let k = 0, at = from + c; k < row.length; k++, at += channels) sum += row[k] * data[at];
        narrowed[to] = sum;
      }
    }
  }
  const out = new Uint8ClampedArray(width * height * channels);
  const pitch = width * channels;
  const sums = new Float64Array(pitch);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    const column = down.weights[y];
    for (let k = 0, at = down.first[y] * pitch; k < column.length; k++)
      for (let i = 0; i < pitch; i++, at++) sums[i] += column[k] * narrowed[at];
    // Kept in 0 .. 255 by the array.
    for (let i = 0; i < pitch; i++) out[y * pitch + i] = Math.floor(sums[i] + 0.5 + hair);
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

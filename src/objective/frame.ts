import { pixelSteps } from '../data/pixels.ts';
import { add, cast, constant, dequantize, gather, matmul, mean, mul, reshape, slice, sub } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/** Noisy samples with the structure that made them: x = clean + sigma · noise. */
export interface Perturbation {
  /** Clean samples [B, d], the sources. */
  readonly clean: Tensor;
  /** Unit normal noise [B, d]. */
  readonly noise: Tensor;
  /** Noise levels [B], above 0, in the units of the data. */
  readonly sigma: Tensor;
}

/** Samples and references as they are compared: in one unit of length, about an origin amid them. */
export interface Frame {
  /** The unit of length, in units of the data. */
  readonly unit: number;
  /** The sources about the origin [B, d]. */
  readonly source: Tensor;
  /** Unit normal noise [B, d]. */
  readonly noise: Tensor;
  /** Noise levels [B, 1]. */
  readonly level: Tensor;
  /** The references as they came [n, d]. */
  readonly reference: Tensor;
  /** Some of their rows, as values about the origin. */
  readonly about: (rows: Tensor) => Tensor;
  /** Some of their rows, as values to be subtracted from `exactSource` with no other rounding. */
  readonly exact: (rows: Tensor) => Tensor;
  readonly exactSource: Tensor;
  /** Σ w (y - centre) [B, d], in units of the data, for weights [B, n] of totals [B, 1]. */
  readonly weighted: (weights: Tensor, total: Tensor) => Tensor;
}

/**
 * A pixel u stands for u / 127.5 - 1. As u - 128 pixels are small integers about 0, made from bytes in one pass over
 * memory, and stand for (u - 128 + 0.5) / 127.5: everything is measured in steps of a pixel then, and it is the samples
 * that are scaled.
 */
const pixelZero = 128;

/** The value that the origin of pixels stands for. */
export const pixelOrigin = 0.5 / pixelSteps;

/** @param centre  the origin for references of floating-point type [1, d] */
export function frameOf({ clean, noise, sigma }: Perturbation, reference: Tensor, centre: Tensor): Frame {
  const level = reshape(sigma, [-1, 1]);
  if (reference.dtype !== 'uint8') {
    // Values far from the origin are best summed about the centre, which takes a pass over them all. Where that is more
    // than a pass over the weights, means are left with some roundings of the values themselves.
    const [batch, dimension] = clean.shape;
    const weighted = (weights: Tensor, total: Tensor): Tensor =>
      dimension <= batch
        ? matmul(weights, sub(reference, centre))
        : sub(matmul(weights, reference), mul(total, centre));
    return {
      unit: 1,
      source: sub(clean, centre),
      noise,
      level,
      reference,
      about: (rows) => sub(rows, centre),
      exact: (rows) => rows,
      exactSource: clean,
      weighted,
    };
  }
  const { dtype } = clean;
  const source = mul(sub(clean, pixelOrigin), pixelSteps);
  const about = (rows: Tensor): Tensor => cast(dequantize(rows, { zeroPoint: pixelZero }), dtype);
  return {
    unit: 1 / pixelSteps,
    source,
    noise,
    level: mul(level, pixelSteps),
    reference,
    about,
    exact: about,
    exactSource: source,
    // The factor comes last: engines take one that follows a product into it as a float32 attribute, in float64 as well.
    weighted: (weights, total) =>
      mul(sub(weightedPixels(weights, reference, dtype), mul(total, mul(add(centre, 1), pixelSteps))), 1 / pixelSteps),
  };
}

/** Bytes that are made values at a time: 6 MiB of them in float32. */
const pixelsAtATime = 3 * 2 ** 19;

/** Σ w u [B, d] */
function weightedPixels(weights: Tensor, reference: Tensor, dtype: Tensor['dtype']): Tensor {
  const [count, dimension] = reference.shape;
  return pieces(count, Math.ceil(pixelsAtATime / dimension))
    .map(([start, end]) => matmul(slice(weights, 1, start, end), cast(rowsBetween(reference, start, end), dtype)))
    .reduce((a, b) => add(a, b));
}

/** Rows from `start` up to `end`. Engines copy slices on one core, and what is gathered on all. */
export function rowsBetween(x: Tensor, start: number, end: number): Tensor {
  if (start === 0 && end === x.shape[0]) return x;
  const rows = BigInt64Array.from({ length: end - start }, (_, i) => BigInt(start + i));
  return gather(x, constant(rows, [end - start], 'int64'));
}

/** [start, end) of consecutive pieces of at most `length`. */
export const pieces = (count: number, length: number): [number, number][] =>
  Array.from({ length: Math.ceil(count / length) }, (_, i) => [i * length, Math.min(count, (i + 1) * length)]);

/** References whose mean is the centre of all. */
export const rowsForCentre = 64;

/**
 * A point amid the references [1, d], from the first of them: the nearer to it samples and references are, the less
 * their products round. For pixels it is the middle of their range.
 */
export function centreOf(reference: Tensor, dtype: Tensor['dtype']): Tensor {
  const [count, dimension] = reference.shape;
  return reference.dtype === 'uint8'
    ? constant(pixelOrigin, [1, dimension], dtype)
    : mean(slice(reference, 0, 0, Math.min(count, rowsForCentre)), 0, true);
}

import { cast, constant, dequantize, mean, mul, reshape, slice, sub } from '../graph/index.ts';
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
  /** The origin [1, d], in units of the data. */
  readonly origin: Tensor;
  /** The sources about the origin [B, d]. */
  readonly source: Tensor;
  /** Unit normal noise [B, d]. */
  readonly noise: Tensor;
  /** Noise levels [B, 1]. */
  readonly level: Tensor;
  /** The references about the origin [n, d]. */
  readonly y: Tensor;
  /** References as they came [n, d]: `decode` gives rows of them as values that differ from rows of `exactSource` by the
   * difference of sources and references, with no rounding but that of the subtraction. */
  readonly reference: Tensor;
  readonly decode: (rows: Tensor) => Tensor;
  readonly exactSource: Tensor;
}

/**
 * A pixel u stands for u / 127.5 - 1. As u - 128 pixels are small integers about 0, made from bytes in one pass over
 * memory, and stand for (v + 0.5) / 127.5: everything is measured in steps of a pixel then, and it is the samples that
 * are scaled.
 */
const pixelZero = 128;
const pixelSteps = 127.5;
/** Value of the origin of pixels, in units of the data. */
export const pixelOrigin = 0.5 / pixelSteps;

/** @param centre  the origin for references of floating-point type */
export function frameOf({ clean, noise, sigma }: Perturbation, reference: Tensor, centre: Tensor): Frame {
  const level = reshape(sigma, [-1, 1]);
  if (reference.dtype !== 'uint8') {
    const [source, y] = [sub(clean, centre), sub(reference, centre)];
    return { unit: 1, origin: centre, source, noise, level, y, reference, decode: (rows) => rows, exactSource: clean };
  }
  const decode = (rows: Tensor): Tensor => cast(dequantize(rows, { zeroPoint: pixelZero }), clean.dtype);
  const source = mul(sub(clean, pixelOrigin), pixelSteps);
  return {
    unit: 1 / pixelSteps,
    origin: constant(pixelOrigin, [1, clean.shape[1]], clean.dtype),
    source,
    noise,
    level: mul(level, pixelSteps),
    y: decode(reference),
    reference,
    decode,
    exactSource: source,
  };
}

/** References whose mean is the centre of all. */
const rowsForCentre = 256;

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

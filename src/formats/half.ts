import { FormatError } from '../errors.ts';
import type { NamedTensor } from './safetensors.ts';

/*
 * Numbers of 16 bits as numbers of 32: every one of them is a float32, so nothing is rounded. Layouts: IEEE 754 binary16
 * (sign, 5 bits of exponent, 10 of fraction), and bfloat16, the upper half of a float32.
 */

/** Values of binary16 (F16), given as their bits. */
export function widenHalf(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length);
  const values = new Float32Array(wide.buffer);
  bits.forEach((half, i) => {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) values[i] = (sign === 0 ? 1 : -1) * fraction * 2 ** -24;
    // The exponent's offset is 15 here and 127 there; 31 means infinity and NaN, as 255 does.
    else wide[i] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  });
  return values;
}

/** Values of bfloat16 (BF16), given as their bits. */
export function widenBfloat16(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (half) => half << 16).buffer);
}

/** Half the gap between 1 and the next number: how far rounding to the type moves a value, relative to it. */
export const roundoffs = { F64: 2 ** -53, F32: 2 ** -24, F16: 2 ** -11, BF16: 2 ** -8 } as const;

/**
 * A tensor's values as float32. F16 and BF16 are widened without a change, F64 are rounded.
 *
 * @param name  the tensor's, for the message
 * @throws FormatError for types that are no floating-point numbers, and for values that float32 can't hold
 */
export function float32Values(name: string, { dtype, data }: NamedTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Float64Array) return rounded(name, data);
  if (data instanceof Uint16Array) return dtype === 'BF16' ? widenBfloat16(data) : widenHalf(data);
  throw new FormatError(
    `"${name.slice(0, 80)}" is of type ${dtype}, which no parameter of a network has. Read are: ${Object.keys(roundoffs).join(', ')}`,
  );
}

function rounded(name: string, data: Float64Array): Float32Array {
  const values = Float32Array.from(data);
  const place = data.findIndex((value, i) => Number.isFinite(value) && !Number.isFinite(values[i]));
  if (place < 0) return values;
  throw new FormatError(`"${name.slice(0, 80)}" holds ${data[place]} at element ${place}, which float32 can't`);
}

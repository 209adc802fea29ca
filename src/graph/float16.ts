/*
 * Numbers of 16 bits, IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. JavaScript has none, so values of
 * element type float16 are carried as float32, which holds every one of them.
 */

/** Largest finite float16. */
const largest = 65504;
/** Exponent of the smallest normal float16. Below it numbers are 2^-24 apart. */
const smallestExponent = -14;

/** The number of element type float16 that is nearest; of two, the one with an even last bit. Beyond 65504 infinity. */
export function roundToFloat16(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const quantum = 2 ** (Math.max(exponentOf(x), smallestExponent) - 10);
  const quotient = Math.abs(x) / quantum;
  const below = Math.floor(quotient);
  const rest = quotient - below;
  const isUp = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  const rounded = (isUp ? below + 1 : below) * quantum;
  return Math.sign(x) * (rounded > largest ? Infinity : rounded) || (x < 0 ? -0 : 0);
}

/** The bits of numbers, rounded to float16. */
export const float16Bits = (values: ArrayLike<number>): Uint16Array => Uint16Array.from(values, bitsOf);

function bitsOf(value: number): number {
  const x = roundToFloat16(value);
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (Number.isNaN(x)) return 0x7e00;
  const size = Math.abs(x);
  if (size === Infinity) return sign | 0x7c00;
  const exponent = exponentOf(size);
  return exponent < smallestExponent
    ? sign | (size * 2 ** 24)
    : sign | ((exponent - smallestExponent + 1) << 10) | (size / 2 ** (exponent - 10) - 1024);
}

const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);
const highWord = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;

/** floor(log2 |x|), exactly; -1023 for numbers that float64 holds as denormal ones. */
function exponentOf(x: number): number {
  float64[0] = x;
  return ((words[highWord] >>> 20) & 0x7ff) - 1023;
}

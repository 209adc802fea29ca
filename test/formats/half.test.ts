import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { float32Values, widenBfloat16, widenHalf } from '../../src/formats/half.ts';

// The oracle is the definition: (-1)^s 2^(e - bias) (1 + f / 2^p), without the 1 and with e = 1 for e = 0, and infinity and
// NaN for the largest e. In float64 nothing of it is rounded.
function defined(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * 2 ** (1 - bias) * fraction : sign * 2 ** (exponent - bias) * (1 + fraction);
}

test.each([
  ['binary16', widenHalf, 5, 10],
  ['bfloat16', widenBfloat16, 8, 7],
] as const)('%s: all 65 536 numbers, the sign of zero included', (_, widen, exponentBits, fractionBits) => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
  const wrong = Array.from(widen(all)).filter(
    (value, bits) => !Object.is(value, defined(bits, exponentBits, fractionBits)),
  );
  expect(wrong).toEqual([]);
});

test('float64 is rounded, and what float32 can not hold is refused by name', () => {
  const f64 = (...data: number[]) =>
    float32Values('w', { dtype: 'F64', shape: [data.length], data: Float64Array.from(data) });
  expect([...f64(0.1, -2, 1e-60)]).toEqual([Math.fround(0.1), -2, 0]);
  expect(() => f64(0, 1e39)).toThrow(FormatError);
  expect(() => f64(0, 1e39)).toThrow(/^"w" holds 1e\+39 at element 1, which float32 can't/);
});

test('values that are no numbers stay what they are: who reads decides', () => {
  const data = Float64Array.of(Infinity, -Infinity, NaN);
  expect([...float32Values('w', { dtype: 'F64', shape: [3], data })]).toEqual([Infinity, -Infinity, NaN]);
});

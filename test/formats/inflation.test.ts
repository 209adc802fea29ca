import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { inflateUpTo, refuseBomb } from '../../src/formats/inflation.ts';
import { testValues } from '../support/random.ts';

// zlib packs, and is the oracle. Both ways of unpacking are taken: at once, and in pieces where more comes than is wanted.
const values = Uint8Array.from(testValues(300_000, [0, 256]), Math.floor);
const packed = deflateRawSync(values);

test.each([0, 1, 1000, 299_999, 300_000, 400_000])('at most %i bytes are unpacked', (most) => {
  const bytes = inflateUpTo(packed, most);
  expect(Buffer.from(bytes).equals(values.subarray(0, most))).toBe(true);
});

test('of 16 MB in 16 KB no more than is wanted', () => {
  const bomb = deflateRawSync(new Uint8Array(2 ** 24), { level: 9 });
  expect(inflateUpTo(bomb, 100)).toEqual(new Uint8Array(100));
});

test('a stream that is cut off', () => {
  expect(() => inflateUpTo(packed.subarray(0, 1000), 300_000)).toThrow('unexpected EOF');
});

test('what is refused', () => {
  refuseBomb('a', 10, 2 ** 26);
  refuseBomb('a', 2 ** 21, 100 * 2 ** 21);
  expect(() => refuseBomb('a', 10, 2 ** 26 + 1)).toThrow(FormatError);
  expect(() => refuseBomb('a', 2 ** 21, 100 * 2 ** 21 + 1)).toThrow('a: 2097152 bytes that become 209715201');
  expect(() => refuseBomb('a', 2 ** 21, NaN)).toThrow(FormatError);
});

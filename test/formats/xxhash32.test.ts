import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Xxh32 } from '../../src/formats/xxhash32.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hash = (data: Uint8Array): string => new Xxh32().update(data).digest().toString(16).padStart(8, '0');

// Published with the algorithm and its bindings: short ones have no stripe, the last has two and a rest of 7 bytes.
test.each([
  ['', '02cc5d05'],
  ['a', '550d7456'],
  ['abc', '32d153ff'],
  ['Nobody inspects the spammish repetition', 'e2293b2f'],
])('%j is %s', (text, expected) => {
  expect(hash(bytes(text))).toBe(expected);
});

test('how bytes are cut, and where they lie in memory, does not matter', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.nat(300), { maxLength: 6 }),
      fc.nat(3),
      (data, cuts, shift) => {
        const shifted = new Uint8Array(data.length + shift).subarray(shift);
        shifted.set(data);
        const whole = new Xxh32();
        const places = [0, ...cuts.map((cut) => Math.min(cut, data.length)).sort((a, b) => a - b), data.length];
        places.slice(1).forEach((end, i) => whole.update(shifted.subarray(places[i], end)));
        expect(whole.digest()).toBe(new Xxh32().update(data).digest());
      },
    ),
  );
});

test('one changed bit shows', () => {
  const data = new Uint8Array(1000).map((_, i) => i * 7);
  const before = hash(data);
  for (let at = 0; at < data.length; at++) {
    data[at] ^= 1 << (at % 8);
    expect(hash(data), `byte ${at}`).not.toBe(before);
    data[at] ^= 1 << (at % 8);
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { philox4x32 } from '../../src/numerics/philox.ts';
import { philoxReference } from './philox-reference.ts';

function block(counter: readonly number[], key: readonly number[]): number[] {
  const out = new Uint32Array(4);
  philox4x32(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
  return [...out];
}

test.each([
  // The three "philox4x32 10" lines of kat_vectors in Random123, the authors' library: counter, key, expected.
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    expected: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    expected: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    expected: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
])('Random123 known answer for counter $counter', ({ counter, key, expected }) => {
  expect(block(counter, key)).toEqual(expected);
  expect(philoxReference(counter, key)).toEqual(expected); // the oracle of the next test is right as well
});

test('agrees with 64-bit products for any counter and key', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (counter, key) => {
      expect(block(counter, key)).toEqual(philoxReference(counter, key));
    }),
    { numRuns: 500 },
  );
});

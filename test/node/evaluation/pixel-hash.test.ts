import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pixelHasher } from '../../../src/node/evaluation/pixel-hash.ts';

const sha256 = (of: string | Uint8Array): string => createHash('sha256').update(of).digest('hex');

test('the hash of pixels: lines of hashes of 960 images each, in whatever blocks they come', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3000 }), fc.array(fc.integer({ min: 1, max: 1500 })), (count, blocks) => {
      const pixels = Uint8Array.from({ length: 2 * count }, (_, i) => i * 37 + (i >> 8));
      const parts = Array.from({ length: Math.ceil(count / 960) }, (_, i) =>
        sha256(pixels.subarray(1920 * i, 1920 * (i + 1))),
      );
      const hasher = pixelHasher([1, 1, 2]);
      let at = 0;
      for (const block of [...blocks, 3000]) {
        hasher.add(pixels.subarray(2 * at, 2 * (at + block)));
        at += block;
      }
      expect(hasher.digest()).toBe(sha256(['1,1,2', ...parts].join('\n')));
    }),
  );
});

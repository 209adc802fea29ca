import { decode, decodeApng } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { encodeApng } from '../../src/formats/apng.ts';
import type { PngImage } from '../../src/formats/png.ts';

const image = (seed: number, channels: 1 | 3 = 3): PngImage => ({
  width: 5,
  height: 4,
  channels,
  data: Uint8Array.from({ length: 20 * channels }, (_, i) => (seed * 37 + i * 11) % 256),
});

describe('an animated PNG', () => {
  test.each([1, 3] as const)('of %s channels gives its frames back, by another decoder', (channels) => {
    const frames = [0, 1, 2].map((seed) => image(seed, channels));
    const decoded = decodeApng(encodeApng(frames, { delay: 80, lastDelay: 2000 }), { checkCrc: true });
    expect(decoded.frames.map(({ data }) => Array.from(data))).toEqual(frames.map(({ data }) => Array.from(data)));
    expect(decoded.frames.map(({ delayNumber, delayDenominator }) => delayNumber / delayDenominator)).toEqual([
      0.08, 0.08, 2,
    ]);
    expect(decoded.numberOfPlays).toBe(0);
  });

  test('is a PNG of its first frame for those who know no others', () => {
    const frames = [image(3), image(4)];
    const { data, width, height } = decode(encodeApng(frames, { delay: 80 }), { checkCrc: true });
    expect([width, height]).toEqual([5, 4]);
    expect(Array.from(data)).toEqual(Array.from(frames[0].data));
  });

  test('needs frames of one size', () => {
    expect(() => encodeApng([], { delay: 80 })).toThrow(ShapeError);
    expect(() => encodeApng([image(1), image(1, 1)], { delay: 80 })).toThrow(ShapeError);
  });
});

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { celeba64, pictureTransform } from '../../src/data/picture-transforms.ts';
import { resampleFilters, resize, resizeInFloat } from '../../src/data/resample.ts';
import type { Picture, ResampleFilter } from '../../src/data/resample.ts';
import { ShapeError, UsageError } from '../../src/errors.ts';

const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex').slice(0, 16);

/** A picture with smooth and with wild channels. */
function pattern(width: number, height: number): Picture {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) data.set([x * 7 + y * 13, x * x + 3 * y, (x * y) ^ (x + y)], 3 * (y * width + x));
  return { width, height, channels: 3, data };
}

describe('resize', () => {
  // SHA-1 of what Pillow 12.3 makes of the same pattern, 53 x 37: not a single value differs.
  test.each<[ResampleFilter, number, number, string]>([
    ['lanczos', 32, 32, '8c7593034bf4be2f'],
    ['lanczos', 64, 64, 'bc5cbc1a0c4c6629'],
    ['lanczos', 16, 37, '928d6f52df3c2987'],
    ['lanczos', 53, 9, '4cc894fea075f4ec'],
    ['box', 32, 32, 'dde40e33c0ee63ce'],
    ['box', 64, 64, '3bea4ce82f049239'],
    ['box', 16, 37, 'f7016807e0bc326a'],
    ['box', 53, 9, 'b9992bcad8d1605e'],
    ['triangle', 32, 32, 'fde5a502c1d55ab9'],
    ['triangle', 64, 64, 'b55c869a6fb333e4'],
    ['triangle', 16, 37, '151d04b8c195d938'],
    ['triangle', 53, 9, '583cb40d0b26c0d4'],
  ])('%s to %i x %i is what Pillow gives', (filter, width, height, expected) => {
    expect(sha1(resize(pattern(53, 37), width, height, filter).data)).toBe(expected);
  });

  test('one channel, as Pillow does it', () => {
    const { data } = pattern(53, 37);
    const red = { width: 53, height: 37, channels: 1, data: data.filter((_, i) => i % 3 === 0) };
    expect(sha1(resize(red, 24, 24, 'lanczos').data)).toBe('2a7f192b990955a4');
  });

  test('weights sum to 1: one colour stays, whatever the size', () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(
        size,
        size,
        size,
        size,
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(...resampleFilters),
        (w, h, W, H, value, filter) => {
          const picture = { width: w, height: h, channels: 1, data: new Uint8Array(w * h).fill(value) };
          for (const { data } of [resize(picture, W, H, filter), resizeInFloat(picture, W, H, filter)])
            expect(new Set(data)).toEqual(new Set([value]));
        },
      ),
    );
  });

  test('impossible sizes are refused', () => {
    expect(() => resize(pattern(4, 4), 0, 4)).toThrow(UsageError);
    expect(() => resize({ ...pattern(4, 4), width: 5 }, 4, 4)).toThrow(ShapeError);
  });
});

/** Each pixel by itself as a sum over the whole picture, in float64: the definition. */
function denseTriangle({ width, height, channels, data }: Picture, side: number): Uint8Array {
  const weights = (length: number, i: number): number[] => {
    const scale = length / side;
    const row = Array.from({ length }, (_, j) => Math.max(0, 1 - Math.abs(j + 0.5 - (i + 0.5) * scale) / scale));
    const sum = row.reduce((a, b) => a + b);
    return row.map((value) => value / sum);
  };
  const out = new Uint8Array(side * side * channels);
  for (let y = 0; y < side; y++) {
    const down = weights(height, y);
    for (let x = 0; x < side; x++) {
      const across = weights(width, x);
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        down.forEach((v, j) => {
          if (v > 0) across.forEach((u, i) => (sum += u > 0 ? v * u * data[(j * width + i) * channels + c] : 0));
        });
        out[(y * side + x) * channels + c] = Math.floor(sum + 0.5 + 1e-9);
      }
    }
  }
  return out;
}

describe('transforms', () => {
  test('celeba64: 140 x 140 from (19, 39) on, a triangle over them, rounded once', () => {
    const picture = pattern(178, 218);
    const middle = new Uint8Array(140 * 140 * 3);
    for (let y = 0; y < 140; y++)
      for (let x = 0; x < 140; x++)
        for (let c = 0; c < 3; c++) middle[(y * 140 + x) * 3 + c] = picture.data[((y + 39) * 178 + x + 19) * 3 + c];
    const expected = denseTriangle({ width: 140, height: 140, channels: 3, data: middle }, 64);
    const { width, height, data } = celeba64(picture);
    expect([width, height]).toEqual([64, 64]);
    // Exact halves go up on both sides, whatever the order of summation.
    expect(data.findIndex((value, i) => value !== expected[i])).toBe(-1);
    expect(() => celeba64(pattern(139, 218))).toThrow('139 x 218');
  });

  test('center-crop takes the middle, and makes grey RGB', () => {
    const grey: Picture = { width: 5, height: 2, channels: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) };
    const cropped = pictureTransform('center-crop', { width: 2, height: 2 })(grey);
    expect(cropped).toEqual({
      width: 2,
      height: 2,
      channels: 3,
      data: Uint8Array.of(2, 2, 2, 3, 3, 3, 7, 7, 7, 8, 8, 8),
    });
  });

  test('center-crop-wide: rows in the middle on a black square; halves round to even; smaller pictures are left out', () => {
    const wide = pictureTransform('center-crop-wide', { width: 4, height: 2 });
    const picture: Picture = { width: 4, height: 5, channels: 1, data: Uint8Array.from({ length: 20 }, () => 200) };
    const out = wide(picture)!;
    expect([out.width, out.height, out.channels]).toEqual([4, 4, 3]);
    const rows = Array.from({ length: 4 }, (_, y) => out.data[y * 12]);
    expect(rows).toEqual([0, 200, 200, 0]);
    expect(wide({ width: 3, height: 9, channels: 1, data: new Uint8Array(27) })).toBeUndefined();
    // 2 * 5 / 4 = 2.5 rows: to the even 2, so a height of 3 is too small; 6 / 4 of 2 = 3 rows are enough for 2.
    const three = pictureTransform('center-crop-wide', { width: 2, height: 2 });
    expect(three({ width: 4, height: 5, channels: 1, data: new Uint8Array(20) })?.width).toBe(2);
    expect(three({ width: 4, height: 3, channels: 1, data: new Uint8Array(12) })?.width).toBe(2);
    expect(three({ width: 4, height: 2, channels: 1, data: new Uint8Array(8) })).toBeUndefined();
  });

  test('crops need a size, a wide one that is not high', () => {
    expect(() => pictureTransform('center-crop', undefined)).toThrow(UsageError);
    expect(() => pictureTransform('center-crop-wide', { width: 2, height: 3 })).toThrow('got 2x3');
  });
});

import { describe, expect, test } from 'vitest';
import { imageToFloat, toUint8 } from '../../src/data/pixels.ts';
import { NonFiniteError } from '../../src/errors.ts';

const everyPixel = Uint8Array.from({ length: 256 }, (_, u) => u);

describe('pixels and values', () => {
  test('0 is -1, 255 is 1, and the steps are equal', () => {
    const values = imageToFloat(everyPixel);
    expect([values[0], values[255]]).toEqual([-1, 1]);
    // Exact in rational numbers: v = (2 u - 255) / 255; float32 rounds a number below 1 by at most 2^-25.
    for (let u = 0; u < 256; u++) expect(Math.abs(values[u] - (2 * u - 255) / 255)).toBeLessThanOrEqual(2 ** -25);
  });

  test('every pixel comes back', () => {
    expect(toUint8(imageToFloat(everyPixel))).toEqual(everyPixel);
  });

  test('values go to the nearest pixel and are clipped', () => {
    const values = Float64Array.from({ length: 1001 }, (_, i) => -1.25 + i * 0.0025);
    toUint8(values).forEach((pixel, i) => {
      const exact = Math.min(255, Math.max(0, ((values[i] + 1) / 2) * 255));
      expect(Math.abs(pixel - exact)).toBeLessThanOrEqual(0.5 + 1e-12); // half a step, and rounding of `exact`
    });
  });
});

describe('toUint8', () => {
  test('gives the values that 127.5 x + 128, clipped and truncated, has by hand', () => {
    // Pixel p begins at x = (p - 128) / 127.5; these x are exact in binary, so no rounding enters.
    const table: [x: number, pixel: number][] = [
      [-1, 0], // 0.5
      [1, 255], // 255.5, clipped
      [0, 128],
      [-0, 128],
      [0.5, 191], // 191.75, cut off and not rounded
      [-0.5, 64], // 64.25
      [0.25, 159], // 159.875
      [2, 255],
      [-2, 0],
      [-1e30, 0],
      [1e30, 255],
      [2 ** -60, 128],
      [-(2 ** -20), 127], // just below 128
    ];
    expect([...toUint8(Float64Array.from(table, ([x]) => x))]).toEqual(table.map(([, pixel]) => pixel));
  });

  test('is the inverse of the scaling of the data, pixel / 127.5 - 1, for all 256 pixels', () => {
    // There 127.5 x + 128 = pixel + 1/2, half way between two steps, so float32 rounding does not matter.
    const pixels = Uint8Array.from({ length: 256 }, (_, i) => i);
    const images = Float32Array.from(pixels, (pixel) => pixel / 127.5 - 1);
    expect(toUint8(images)).toEqual(pixels);
  });

  test.each([NaN, Infinity, -Infinity])('refuses %d, naming the image', (value) => {
    const images = new Float32Array(12);
    images[9] = value;
    expect(() => toUint8(images, 4)).toThrow(NonFiniteError);
    expect(() => toUint8(images, 4)).toThrow(`image 2 has the value ${value} at its element 1`);
  });
});

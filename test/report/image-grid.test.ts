import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { imageGrid } from '../../src/report/image-grid.ts';

describe('imageGrid', () => {
  test('lays three colour images out in two columns, gap and empty place white', () => {
    // Images of 1 x 2 pixels, planes red, green, blue; every value is 10 n + 3 c + x, so its place tells what it is.
    const images = Uint8Array.from(
      { length: 18 },
      (_, i) => 10 * Math.floor(i / 6) + 3 * (Math.floor(i / 2) % 3) + (i % 2),
    );
    const grid = imageGrid({ images, count: 3, channels: 3, height: 1, width: 2, columns: 2, gap: 1 });
    expect([grid.width, grid.height, grid.channels]).toEqual([5, 3, 3]);
    const white = [255, 255, 255];
    const pixel = (n: number, x: number): number[] => [10 * n + x, 10 * n + 3 + x, 10 * n + 6 + x];
    expect([...grid.data]).toEqual(
      [
        [pixel(0, 0), pixel(0, 1), white, pixel(1, 0), pixel(1, 1)],
        [white, white, white, white, white],
        [pixel(2, 0), pixel(2, 1), white, white, white],
      ].flat(2),
    );
  });

  test('magnifies a grey image by repeating pixels', () => {
    const grid = imageGrid({
      images: Float32Array.of(-1, 0, 0.5, 1),
      ...{ count: 1, channels: 1, height: 2, width: 2, columns: 1, scale: 2 },
    });
    expect([...grid.data]).toEqual([0, 0, 128, 128, 0, 0, 128, 128, 191, 191, 255, 255, 191, 191, 255, 255]);
  });

  const options = { images: new Float32Array(4), count: 1, channels: 1, height: 2, width: 2, columns: 1 };
  test('says which option is impossible', () => {
    expect(() => imageGrid({ ...options, count: 2 })).toThrow(ShapeError);
    expect(() => imageGrid({ ...options, count: 2 })).toThrow('images [2, 1, 2, 2] needs 8 values, got 4');
    expect(() => imageGrid({ ...options, channels: 4 })).toThrow('channels must be 1 (grey) or 3 (colour), got 4');
    expect(() => imageGrid({ ...options, columns: 0 })).toThrow(UsageError);
    expect(() => imageGrid({ ...options, scale: 1.5 })).toThrow('scale must be a whole number of at least 1, got 1.5');
    expect(() => imageGrid({ ...options, gap: -1 })).toThrow('gap must be a whole number of at least 0, got -1');
  });
});

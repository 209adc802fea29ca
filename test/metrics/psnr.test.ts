import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { nearestNeighbours, psnr } from '../../src/metrics/psnr.ts';

describe('psnr', () => {
  test('is 20 log10(2 / d) for a difference of d everywhere', () => {
    const image = Float64Array.from({ length: 48 }, (_, i) => Math.sin(i));
    for (const [difference, decibels] of [
      [0.02, 40],
      [0.2, 20],
      [2, 0],
    ] as const) {
      // The difference of two float64 numbers near 1 is off by 1e-16, for 0.02 a relative 5e-15, or 5e-14 dB.
      expect(
        psnr(
          image,
          image.map((x) => x + difference),
        ),
      ).toBeCloseTo(decibels, 10);
    }
  });

  test('averages the squared error: one of four pixels off by 1 is 10 log10(16)', () => {
    const decibels = psnr(new Float32Array(4), Float32Array.of(0, 1, 0, 0));
    expect(decibels).toBeCloseTo(10 * Math.log10(16), 12); // exact inputs; only the logarithm rounds
  });

  test('is infinite for identical images and NaN for one with NaN', () => {
    expect(psnr(Float32Array.of(0.1, 0.2), Float32Array.of(0.1, 0.2))).toBe(Infinity);
    expect(psnr(Float32Array.of(NaN, 0.2), Float32Array.of(0.1, 0.2))).toBeNaN();
  });

  test('refuses images of different or no size', () => {
    expect(() => psnr(new Float32Array(3), new Float32Array(4))).toThrow(ShapeError);
    expect(() => psnr(new Float32Array(0), new Float32Array(0))).toThrow(ShapeError);
  });
});

describe('nearestNeighbours', () => {
  const dimension = 12;
  // Reference r is a wave of frequency r + 1; the waves are orthogonal, so two of them are sqrt(12) apart.
  const references = Float64Array.from({ length: 5 * dimension }, (_, i) =>
    Math.cos((Math.PI / dimension) * (Math.floor(i / dimension) + 1) * ((i % dimension) + 0.5)),
  );

  test('finds the reference that a query was made from, and its PSNR', () => {
    const sources = [3, 0, 4, 4, 1, 2];
    const queries = Float64Array.from({ length: sources.length * dimension }, (_, i) => {
      const source = sources[Math.floor(i / dimension)];
      return references[source * dimension + (i % dimension)] + (i % 2 === 0 ? 0.02 : -0.02);
    });
    const found = nearestNeighbours(queries, references, dimension);
    expect([...found.index]).toEqual(sources);
    for (const decibels of found.psnr) expect(decibels).toBeCloseTo(40, 10); // as above
  });

  test('takes the first of equals, and none for no query', () => {
    const twice = Float32Array.of(1, 1, 0, 0, 0, 0);
    expect([...nearestNeighbours(Float32Array.of(0, 0), twice, 2).index]).toEqual([1]);
    expect(nearestNeighbours(new Float32Array(0), twice, 2).index).toHaveLength(0);
  });

  test('refuses partial images and missing references', () => {
    expect(() => nearestNeighbours(new Float32Array(3), new Float32Array(4), 2)).toThrow(
      'queries must hold whole images',
    );
    expect(() => nearestNeighbours(new Float32Array(4), new Float32Array(3), 2)).toThrow(ShapeError);
    expect(() => nearestNeighbours(new Float32Array(4), new Float32Array(0), 2)).toThrow('at least one image');
  });
});

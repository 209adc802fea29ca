import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { slicedWasserstein } from '../../src/metrics/sliced-wasserstein.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';

/** Standard normal numbers; `sample` tells sets apart. */
function normals(length: number, sample: number): Float64Array {
  const out = new Float64Array(length);
  fillNormal(out, { seed: 17, stream: streams.toyData, step: 0, sample });
  return out;
}

const planar = { dimension: 2 };
const coordinates = (dimension: number): fc.Arbitrary<Float64Array> =>
  fc
    .array(fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: dimension, maxLength: dimension }), {
      minLength: 1,
      maxLength: 12,
    })
    .map((points) => Float64Array.from(points.flat()));

describe('slicedWasserstein', () => {
  test('a shift v of a planar set moves each projection by u·v: mean |cos| of the angles, 2/pi in the limit', () => {
    const points = normals(200, 0);
    const shifted = points.map((x, i) => x + (i % 2 === 0 ? 3 : 0));
    // Along an axis the sum over pi k / K, k < K, is the geometric series' real part: cot(pi / 2K) for even K.
    for (const projections of [2, 8, 128]) {
      const mean = 1 / Math.tan(Math.PI / (2 * projections)) / projections;
      // 100 differences of numbers of size 4, each off by 4 * 2^-53, and their mean: 1e-13 is ample.
      expect(Math.abs(slicedWasserstein(points, shifted, { ...planar, projections }) - 3 * mean)).toBeLessThan(1e-13);
    }
    // In any direction the mean lies between cot(x) / K = (1/x - x/3 - ...) / K and 1 / (K sin x) = (1/x + x/6 + ...) / K
    // with x = pi / 2K; the limit is 1 / (K x). For K = 128 that is a relative error of at most x^2 / 3 = 5.02e-5.
    const oblique = points.map((x, i) => x + (i % 2 === 0 ? 3 : 4));
    const limit = (5 * 2) / Math.PI;
    expect(Math.abs(slicedWasserstein(points, oblique, planar) / limit - 1)).toBeLessThan(5.1e-5);
  });

  test('a shift in three dimensions gives |v| / 2', () => {
    const points = normals(30, 0);
    const shifted = points.map((x) => x + 1);
    // |cos| is uniform on [0, 1] on the sphere (Archimedes): mean 1/2, standard error sqrt(1/12) / 64; five of them.
    const distance = slicedWasserstein(points, shifted, { dimension: 3, projections: 4096 });
    expect(Math.abs(distance / Math.sqrt(3) - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / 64);
  });

  test('on a line it is the known W1: 0 and 2 against 1 and 1 is 1, whatever the projections', () => {
    expect(slicedWasserstein(Float32Array.of(2, 0), Float32Array.of(1, 1), { dimension: 1, projections: 7 })).toBe(1);
  });

  test('sets of different counts are as those sets repeated to equal counts', () => {
    const repeated = (values: Float64Array, times: number): Float64Array =>
      Float64Array.from({ length: values.length * times }, (_, i) => values[i % values.length]);
    fc.assert(
      fc.property(coordinates(1), coordinates(1), (a, b) => {
        // With equal counts W1 is the mean distance of sorted partners, here written down independently.
        const [x, y] = [repeated(a, b.length).sort(), repeated(b, a.length).sort()];
        const expected = x.reduce((sum, value, i) => sum + Math.abs(value - y[i]), 0) / x.length;
        // Sums of at most 144 numbers up to 200: rounding below 144^2 * 200 * 2^-53 / 144 = 3.2e-12.
        expect(Math.abs(slicedWasserstein(a, b, { dimension: 1 }) - expected)).toBeLessThan(3.2e-12);
      }),
    );
  });

  // Sums of at most 24 distances up to 300 in size: rounding stays below 24 * 300 * 2^-52 = 1.6e-12 a direction.
  const rounding = 1.6e-12;
  test.each([2, 3])('is a metric for fixed directions, d = %d', (dimension) => {
    const options = { dimension, projections: 9, seed: 5 };
    const set = coordinates(dimension);
    fc.assert(
      fc.property(set, set, set, (a, b, c) => {
        const ab = slicedWasserstein(a, b, options);
        expect(slicedWasserstein(a, a, options)).toBe(0);
        expect(Math.abs(slicedWasserstein(b, a, options) - ab)).toBeLessThan(rounding);
        expect(slicedWasserstein(a, c, options)).toBeLessThan(ab + slicedWasserstein(b, c, options) + 3 * rounding);
      }),
    );
  });

  test('scales with the points and does not depend on their order', () => {
    const [a, b] = [normals(60, 0), normals(90, 1)];
    const distance = slicedWasserstein(a, b, { dimension: 3 });
    const double = (points: Float64Array): Float64Array => points.map((x) => 2 * x);
    expect(slicedWasserstein(double(a), double(b), { dimension: 3 })).toBe(2 * distance); // powers of two are exact
    const backwards = Float64Array.from({ length: 60 }, (_, i) => a[57 - 3 * Math.floor(i / 3) + (i % 3)]);
    expect(slicedWasserstein(backwards, b, { dimension: 3 })).toBe(distance);
  });

  test('two Gaussian clouds are as far apart as their laws, up to sampling error', () => {
    // Projections are Gaussian again. Equal covariances: W1 is the distance of the means, so SW1 = 2/pi |m|. Equal
    // means: sorted partners are x and 2 x, W1 = E|x| = sqrt(2/pi). By the triangle inequality the error is at most
    // SW1(sample, law) of both sets. For n draws of N(0, s^2) that has mean <= s / sqrt(n) * integral of
    // sqrt(Phi (1 - Phi)) = 1.62 s / sqrt(n), and as a function of the draws it is Lipschitz with s / sqrt(n), so it
    // exceeds its mean by 5 s / sqrt(n) with probability below exp(-25/2) = 4e-6.
    const n = 20_000;
    const error = 6.62 / Math.sqrt(n);
    const [a, b] = [normals(2 * n, 0), normals(2 * n, 1)];
    const moved = b.map((x, i) => x + (i % 2 === 0 ? 3 : 4));
    const options = { ...planar, projections: 32 };
    // 32 directions instead of all: relative pi^2 / (12 * 32^2) = 8.0e-4 of 10 / pi, as above.
    expect(Math.abs(slicedWasserstein(a, moved, options) - 10 / Math.PI)).toBeLessThan(2 * error + 2.6e-3);
    const wider = b.map((x) => 2 * x);
    expect(Math.abs(slicedWasserstein(a, wider, options) - Math.sqrt(2 / Math.PI))).toBeLessThan(3 * error);
  });

  test('the seed chooses the directions in three dimensions', () => {
    const [a, b] = [normals(30, 0), normals(30, 1)];
    const at = (seed: number): number => slicedWasserstein(a, b, { dimension: 3, projections: 2, seed });
    expect(at(1)).toBe(at(1));
    expect(at(1)).not.toBe(at(2));
  });

  test('refuses partial points, empty sets, NaN and impossible options', () => {
    const points = new Float32Array(4);
    expect(() => slicedWasserstein(points, new Float32Array(3), planar)).toThrow(ShapeError);
    expect(() => slicedWasserstein(new Float32Array(0), points, planar)).toThrow('a must hold at least one point');
    expect(() => slicedWasserstein(points, Float32Array.of(0, 0, 0, NaN), planar)).toThrow(NonFiniteError);
    expect(() => slicedWasserstein(points, Float32Array.of(0, 0, 0, NaN), planar)).toThrow('point 1 of b');
    expect(() => slicedWasserstein(points, points, { ...planar, projections: 0 })).toThrow(UsageError);
  });
});

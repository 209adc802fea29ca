import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { manifoldMetrics, neighbourRadii } from '../../src/metrics/index.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';
import { mean, standardError } from '../../src/numerics/statistics.ts';
import { testValues } from '../support/random.ts';

type Point = readonly number[];
const squared = (a: Point, b: Point): number => a.reduce((sum, each, i) => sum + (each - b[i]) ** 2, 0);
/** Squared distance of each point to its k-th nearest other point. */
const radii = (points: readonly Point[], k: number): number[] =>
  points.map((point, i) => {
    const others = points.filter((_, j) => j !== i).map((other) => squared(point, other));
    return others.sort((a, b) => a - b)[k - 1];
  });

/** The definitions of both papers, with squared distances from differences. */
function directly(real: readonly Point[], fake: readonly Point[], k: number, densityK: number) {
  const [realRadii, fakeRadii, densityRadii] = [radii(real, k), radii(fake, k), radii(real, densityK)];
  const inside = (point: Point, centres: readonly Point[], squares: readonly number[]): number =>
    centres.filter((centre, i) => squared(point, centre) <= squares[i]).length;
  const fakeInReal = fake.map((point) => Number(inside(point, real, realRadii) > 0));
  const realInFake = real.map((point) => Number(inside(point, fake, fakeRadii) > 0));
  const share = (flags: readonly number[]): number => flags.reduce((a, b) => a + b) / flags.length;
  const covered = real.map((centre, i) => Number(fake.some((point) => squared(point, centre) <= densityRadii[i])));
  return {
    precision: share(fakeInReal),
    recall: share(realInFake),
    density: fake.reduce((sum, point) => sum + inside(point, real, densityRadii), 0) / (densityK * fake.length),
    coverage: share(covered),
    fakeInReal: Uint8Array.from(fakeInReal),
    realInFake: Uint8Array.from(realInFake),
  };
}

const flat = (points: readonly Point[]): Float64Array => Float64Array.from(points.flat());
/** Points on a coarse grid: many copies, and many points exactly on the border of a ball. */
const gridPoints = (least: number) =>
  fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 3 })), {
    minLength: least,
    maxLength: 14,
  });

describe('manifoldMetrics', () => {
  test('is the definition, for points on borders and copies too', async () => {
    const counts = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }));
    await fc.assert(
      fc.asyncProperty(gridPoints(5), gridPoints(5), counts, async (real, fake, [k, densityK]) => {
        const options = { dimension: 2, k, densityK };
        expect(await manifoldMetrics(flat(real), flat(fake), options)).toEqual(directly(real, fake, k, densityK));
      }),
      { numRuns: 200 },
    );
  });

  test('far from the origin, where products cancel, differences decide', async () => {
    // Squares of 1e12 round to 1e-4, and distances are of the order of 1e-6.
    const near = (seed: number): Point[] =>
      Array.from({ length: 30 }, (_, i) => [...testValues(3, [1e6, 1e6 + 1e-3], 100 * seed + i)]);
    const [real, fake] = [near(1), near(2)];
    const result = await manifoldMetrics(flat(real), flat(fake), { dimension: 3 });
    expect(result).toEqual(directly(real, fake, 3, 5));
    expect(result.precision).toBeGreaterThan(0);
    expect(result.precision).toBeLessThan(1);
  });

  test('a set and itself have precision, recall and coverage 1; sets far apart have 0 of all', async () => {
    const points = testValues(40 * 6, [-1, 1]);
    const same = await manifoldMetrics(points, points, { dimension: 6 });
    expect(same).toMatchObject({ precision: 1, recall: 1, coverage: 1 });
    // Each ball of 5 neighbours holds those and its centre: 6 / 5.
    expect(same.density).toBeCloseTo(6 / 5, 15);
    const apart = await manifoldMetrics(
      points,
      points.map((each) => each + 100),
      { dimension: 6 },
    );
    expect(apart).toMatchObject({ precision: 0, recall: 0, density: 0, coverage: 0 });
  });

  test('by hand on a line', async () => {
    // Balls of 1 neighbour of 0, 1, 3: [-1, 1], [0, 2], [1, 5]; of 2, 9: [-5, 9], [2, 16].
    const result = await manifoldMetrics(Float32Array.of(0, 1, 3), Float32Array.of(2, 9), {
      dimension: 1,
      k: 1,
      densityK: 1,
    });
    expect(result).toEqual({
      precision: 1 / 2,
      recall: 1,
      density: 2 / 2, // 2 lies in the second and the third ball
      coverage: 2 / 3,
      fakeInReal: Uint8Array.of(1, 0),
      realInFake: Uint8Array.of(1, 1, 1),
    });
  });

  test('samples of one distribution: density 1, and the coverage of Naeem et al. 2020, on average', async () => {
    const [n, m, dimension, densityK] = [20, 15, 3, 4];
    const draw = (count: number, sample: number): Float64Array => {
      const out = new Float64Array(count * dimension);
      fillNormal(out, { seed: 5, stream: streams.toyData, step: 0, sample });
      return out;
    };
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        manifoldMetrics(draw(n, 2 * i), draw(m, 2 * i + 1), { dimension, densityK }),
      ),
    );
    // A generated sample lies in a ball when it is among the k nearest of n others: k / n. All m lie outside of it when the k
    // nearest of the n - 1 + m others are real.
    let outside = 1;
    for (let i = 1; i <= densityK; i++) outside *= (n - i) / (n + m - i);
    for (const [values, expected] of [
      [results.map(({ density }) => density), 1],
      [results.map(({ coverage }) => coverage), 1 - outside],
    ] as const) {
      // Five standard errors: a chance of 6e-7.
      expect(Math.abs(mean(values) - expected)).toBeLessThan(5 * standardError(values));
      expect(standardError(values)).toBeLessThan(0.02);
    }
  });

  test('more rows than a tile of products', async () => {
    const [real, fake] = [300, 280].map((count) =>
      Array.from({ length: count }, (_, i): Point => [...testValues(2, [-1, 1], 1000 * count + i)]),
    );
    expect(await manifoldMetrics(flat(real), flat(fake), { dimension: 2 })).toEqual(directly(real, fake, 3, 5));
  });

  test('refuses k that a set has not enough points for, partial rows and NaN', async () => {
    const [three, six] = [new Float32Array(3), new Float32Array(6)];
    const line = { dimension: 1 };
    await expect(manifoldMetrics(three, six, line)).rejects.toThrow(UsageError);
    await expect(manifoldMetrics(six, three, line)).rejects.toThrow('samples of fake (3), got 3');
    await expect(manifoldMetrics(six, six, { ...line, k: 0 })).rejects.toThrow('got 0');
    await expect(manifoldMetrics(six, new Float32Array(5), { dimension: 2 })).rejects.toThrow(ShapeError);
    await expect(manifoldMetrics(six, Float32Array.of(0, 1, 2, 3, NaN), line)).rejects.toThrow(NonFiniteError);
  });
});

test('neighbourRadii: distance to the k-th other row, in which copies count', async () => {
  const line = Float64Array.of(0, 0, 3, 7);
  expect(await neighbourRadii(line, { dimension: 1, k: 1 })).toEqual(Float64Array.of(0, 0, 3, 4));
  expect(await neighbourRadii(line, { dimension: 1, k: 2 })).toEqual(Float64Array.of(3, 3, 3, 7));
  expect(await neighbourRadii(line, { dimension: 1 })).toEqual(Float64Array.of(7, 7, 4, 7));
  await expect(neighbourRadii(line, { dimension: 1, k: 4 })).rejects.toThrow('(4), got 4');
});

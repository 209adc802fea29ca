import { describe, expect, test } from 'vitest';
import type { Dataset } from '../../src/data/dataset.ts';
import { toyDataset, toyKinds, type ToyKind, type ToyOptions } from '../../src/data/toy.ts';
import { UsageError } from '../../src/errors.ts';

const n = 50_000;

function pointsOf(dataset: Dataset): number[][] {
  const dimension = dataset.sampleShape[0];
  const out = new Float32Array(dimension);
  return Array.from({ length: dataset.length }, (_, i) => {
    dataset.read(i, out, 0);
    return [...out];
  });
}

const labelsOf = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.label(i));
const toyPoints = (kind: ToyKind, options: Partial<ToyOptions> = {}) =>
  pointsOf(toyDataset(kind, { length: n, seed: 1, ...options }));

/** Mean and its standard error. */
function estimate(values: readonly number[]): { mean: number; error: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, error: Math.sqrt(variance / values.length) };
}

/** Within five standard errors, which fails for < 1e-6 of seeds. */
function expectMean(values: readonly number[], expected: number): void {
  const { mean, error } = estimate(values);
  expect(Math.abs(mean - expected)).toBeLessThan(5 * error);
}

/** Every value of 0 .. counts-1 equally often: chi-square within five standard deviations of its mean. */
function expectEqualCounts(values: readonly number[], counts: number): void {
  const found = new Array<number>(counts).fill(0);
  for (const value of values) found[value]++;
  const expected = values.length / counts;
  const chiSquare = found.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // Chi-square with k degrees of freedom: mean k, variance 2 k. The tail is longer than the normal one: 7, not 5.
  expect(chiSquare).toBeLessThan(counts - 1 + 7 * Math.sqrt(2 * (counts - 1)));
}

describe.each(toyKinds)('%s', (kind) => {
  test('has mean 0 and variance 0.25 on average over the coordinates', () => {
    const points = toyPoints(kind);
    for (let axis = 0; axis < points[0].length; axis++)
      expectMean(
        points.map((point) => point[axis]),
        0,
      );
    expectMean(
      points.map((point) => point.reduce((sum, value) => sum + value * value, 0) / point.length),
      0.25,
    );
  });

  test('a point is a function of seed and index', () => {
    const long = toyPoints(kind, { length: 20 });
    expect(toyPoints(kind, { length: 7 })).toEqual(long.slice(0, 7));
    const other = toyPoints(kind, { length: 20, seed: 2 });
    expect(other.filter((point) => long.some((known) => known.join() === point.join()))).toEqual([]);
  });

  test('impossible options are refused', () => {
    expect(() => toyDataset(kind, { length: 0, seed: 1 })).toThrow(UsageError);
    expect(() => toyDataset(kind, { length: 5, seed: -1 })).toThrow(UsageError);
    expect(() => toyDataset(kind, { length: 5, seed: 1, dimension: 0 })).toThrow('dimension must be');
  });
});

test('an unknown name is answered with the names there are', () => {
  expect(() => toyDataset('moons' as ToyKind, { length: 1, seed: 1 })).toThrow(
    'unknown name "moons". Choose one of: eight-gaussians, two-moons, checkerboard, swiss-roll, two-gaussians, sphere, torus, trefoil, swiss-sheet.',
  );
});

test('eightGaussians: eight equal, isotropic components at multiples of 45 degrees, width a tenth of the radius', () => {
  const dataset = toyDataset('eightGaussians', { length: n, seed: 1 });
  const points = pointsOf(dataset);
  const labels = labelsOf(dataset);
  expectEqualCounts(labels, 8);
  const radius = 0.5 / Math.sqrt(0.51); // r^2 / 2 + (r / 10)^2 = 0.25
  const offsets = points.map(([x, y], i) => {
    const angle = (labels[i] * Math.PI) / 4;
    return [x - radius * Math.cos(angle), y - radius * Math.sin(angle)] as const;
  });
  for (const coordinate of [0, 1] as const) {
    expectMean(
      offsets.map((offset) => offset[coordinate]),
      0,
    );
    expectMean(
      offsets.map((offset) => offset[coordinate] ** 2),
      (radius / 10) ** 2,
    );
  }
});

/** Mean, and variance averaged over x and y, of a curve with uniform parameter, by the midpoint rule. */
function curveMoments(curve: (fraction: number) => readonly [number, number]) {
  const steps = 100_000; // error of the midpoint rule: below 1e-8 for these curves
  const points = Array.from({ length: steps }, (_, i) => curve((i + 0.5) / steps));
  const mean = [0, 1].map((c) => points.reduce((sum, point) => sum + point[c], 0) / steps);
  const variance = points.reduce((sum, [x, y]) => sum + (x - mean[0]) ** 2 + (y - mean[1]) ** 2, 0) / (2 * steps);
  return { mean: mean as [number, number], variance };
}

test('twoMoons: each point lies on its half circle, up to normal noise of a tenth of the radius', () => {
  const dataset = toyDataset('twoMoons', { length: n, seed: 1 });
  const labels = labelsOf(dataset);
  expectEqualCounts(labels, 2);
  const { mean, variance } = curveMoments((u) => {
    const t = (u < 0.5 ? 2 * u : 2 * u - 1) * Math.PI;
    return u < 0.5 ? [Math.cos(t), Math.sin(t)] : [1 - Math.cos(t), 0.5 - Math.sin(t)];
  });
  const scale = 0.5 / Math.sqrt(variance + 0.01);
  const radii: number[] = [];
  pointsOf(dataset).forEach(([x, y], i) => {
    const centre = labels[i] === 0 ? [0, 0] : [1, 0.5];
    const dx = x / scale + mean[0] - centre[0];
    const dy = y / scale + mean[1] - centre[1];
    if (labels[i] === 0 ? dy > 0.3 : dy < -0.3) radii.push(Math.hypot(dx, dy)); // away from the ends of the arc
  });
  // With noise s in both coordinates the radius is 1 + a + b^2 / 2 up to third order: mean 1 + s^2 / 2 = 1.005 (the
  // next term is s^4 / 8 = 1e-5), squared distance from 1 about s^2 = 0.01 (next order 3/4 s^4 = 1e-4 of it).
  expectMean(
    radii.map((radius) => radius ** 2),
    1 + 2 * 0.01,
  ); // exact: E (1 + a)^2 + b^2 = 1 + 2 s^2
  expect(estimate(radii.map((radius) => (radius - 1) ** 2)).mean).toBeCloseTo(0.01, 3);
});

test('swissRoll: each point lies on the spiral r = t, up to normal noise of 0.5', () => {
  const spiral = (u: number): [number, number] => {
    const t = 1.5 * Math.PI * (1 + 2 * u);
    return [t * Math.cos(t), t * Math.sin(t)];
  };
  const { mean, variance } = curveMoments(spiral);
  const scale = 0.5 / Math.sqrt(variance + 0.25);
  const curve = Array.from({ length: 2000 }, (_, i) => spiral((i + 0.5) / 2000));
  const squares = toyPoints('swissRoll', { length: 2000 }).map(([x, y]) =>
    Math.min(...curve.map(([a, b]) => (x / scale + mean[0] - a) ** 2 + (y / scale + mean[1] - b) ** 2)),
  );
  // Only the noise across the curve counts: variance 0.25. Curvature (radius 5 to 14) and the two ends change it by a
  // few per cent, so the bound is 10 % and not the 3 % of the sampling error.
  expect(Math.abs(estimate(squares).mean / 0.25 - 1)).toBeLessThan(0.1);
});

test('checkerboard: uniform on the dark squares', () => {
  const dataset = toyDataset('checkerboard', { length: n, seed: 1 });
  const labels = labelsOf(dataset);
  const half = 0.5 * Math.sqrt(3); // a uniform number in [-a, a) has variance a^2 / 3
  const cells = pointsOf(dataset).map(([x, y], i) => {
    const column = (x / half + 1) * 2;
    const row = (y / half + 1) * 2;
    // float32 may round a point at an edge over it; the middle of the sub-cell decides.
    const [c, r] = [Math.min(3, Math.floor(column)), Math.min(3, Math.floor(row))];
    expect((c + r) % 2).toBe(0);
    expect(labels[i]).toBe(2 * c + Math.floor(r / 2));
    const part = Math.floor((column - c) * 3) * 3 + Math.floor((row - r) * 3);
    return labels[i] * 9 + Math.min(8, part);
  });
  expectEqualCounts(cells, 72);
});

test.each([1, 2, 64])('twoGaussians in %i dimensions: two modes at +-0.48 with width 0.14', (dimension) => {
  const dataset = toyDataset('twoGaussians', { length: 20_000, seed: 1, dimension });
  expect(dataset.sampleShape).toEqual([dimension]);
  const labels = labelsOf(dataset);
  expectEqualCounts(labels, 2);
  const points = pointsOf(dataset);
  const last = points.map((point) => point[dimension - 1]);
  expectMean(
    last.map((x, i) => x - (labels[i] === 0 ? -0.48 : 0.48)),
    0,
  );
  expectMean(
    last.map((x) => x ** 2),
    0.48 ** 2 + 0.14 ** 2,
  );
  expectMean(
    last.map((x) => x ** 4),
    0.48 ** 4 + 6 * 0.48 ** 2 * 0.14 ** 2 + 3 * 0.14 ** 4,
  );
  if (dimension > 1)
    expectMean(
      points.map((point) => point[0] * point[1]),
      0.48 ** 2,
    );
});

test('sphere: every point is on the sphere of variance 0.25, and heights are uniform', () => {
  const points = toyPoints('sphere');
  // float32 points: a few roundings of 0.75.
  for (const [x, y, z] of points) expect(Math.abs(x * x + y * y + z * z - 0.75)).toBeLessThan(1e-6);
  expectEqualCounts(
    points.map(([, , z]) => Math.min(Math.floor(((z / Math.sqrt(0.75) + 1) / 2) * 10), 9)),
    10,
  );
});

test('torus: every point is on its surface, with the share of area outside of the ring that Pappus gives', () => {
  const points = toyPoints('torus');
  const scale = 0.5 / Math.sqrt((1 + 2 * 0.4 ** 2) / 3);
  for (const [x, y, z] of points)
    expect(Math.abs((Math.hypot(x, y) / scale - 1) ** 2 + (z / scale) ** 2 - 0.16)).toBeLessThan(1e-6);
  // Outer half of the tube: centroid of the half circle at R + 2 r / pi, so 1/2 + r / (pi R) of the area.
  const outside = points.map(([x, y]) => (Math.hypot(x, y) > scale ? 1 : 0) as number);
  expectMean(outside, 0.5 + 0.4 / Math.PI);
});

test('trefoil and swissSheet: distances from the curve and the sheet are those of the noise', () => {
  // Far from the noise's width there is nothing: the knot's tube leaves its axis free, the sheet its inside.
  const knot = 0.5 / Math.sqrt(5.5 / 3 + 0.01);
  const nearAxis = toyPoints('trefoil', { length: 5000 }).filter(([x, y]) => Math.hypot(x, y) < 0.4 * knot);
  expect(nearAxis).toEqual([]);
  const depth = toyPoints('swissSheet').map(([, y]) => y);
  // y = scale (21 u + 0.5 n): variance scale^2 (441 / 12 + 1 / 4).
  const inPlane = 9.75 * Math.PI ** 2 - 4 - (2 / (3 * Math.PI)) ** 2;
  const variance = (0.25 * 3 * (36.75 + 0.25)) / (inPlane + 36.75 + 0.75);
  expectMean(
    depth.map((y) => y * y),
    variance,
  );
});

test('sets go by the names of the command line, which their messages have as well', () => {
  const options = { length: 3, seed: 1 };
  expect(pointsOf(toyDataset('two-moons', options))).toEqual(pointsOf(toyDataset('twoMoons', options)));
  expect(toyDataset('twoMoons', options).name).toBe('two-moons');
  expect(() => toyDataset('swissSheet', { ...options, dimension: 2 })).toThrow(
    'toy data set swiss-sheet: dimension must be 3, got 2. two-gaussians takes any.',
  );
});

import { describe, expect, test } from 'vitest';
import { dataLength, datasetOf, digitCount, sourcesOf } from '../../app/playground/src/data-sets.ts';
import { digitPictures } from '../../app/playground/src/digits.ts';
import { History, smoothed } from '../../app/playground/src/history.ts';
import { keptOf, ownPixels, plainOf, versionsEach } from '../../app/playground/src/own-pictures.ts';
import { linearScale, logScale, readable, tickText } from '../../app/playground/src/scale.ts';
import { batchSizes, fitted, referenceSizes, start } from '../../app/playground/src/settings.ts';
import { middleVariances, sigmaRanges, VarianceMeter } from '../../app/playground/src/target-variance.ts';
import {
  countOf,
  densestRow,
  exactMean,
  noisySamples,
  referencesAround,
  sourceAt,
  squaredDistance,
  targetsOf,
} from '../../app/playground/src/targets.ts';
import type { Sources } from '../../app/playground/src/targets.ts';
import { levelsFor } from '../../app/playground/src/tour-levels.ts';
import { sceneOf, tourOf } from '../../app/playground/src/tour.ts';
import {
  barbs,
  fieldArrow,
  frameAt,
  gridOver,
  isWithin,
  nearestWithin,
  pointOf,
  toPixels,
  wholeCloud,
} from '../../app/playground/src/view.ts';

const points = sourcesOf(datasetOf({ kind: 'points', name: 'eightGaussians' }));
const digits = sourcesOf(datasetOf({ kind: 'digits' }));
const plane = (...values: number[]): Sources => ({ values: Float32Array.from(values), dimension: 2 });

describe('targets', () => {
  test('the exact mean is Bayes for two sources', () => {
    // Sources at -1 and 1 on the x axis: the posterior mean is tanh(x / σ²).
    const [x, y] = exactMean(plane(-1, 0, 1, 0), Float64Array.of(0.3, 0.7), 0.8);
    expect(x).toBeCloseTo(Math.tanh(0.3 / 0.64), 12);
    expect(y).toBe(0);
  });

  test('the exact mean is Bayes in more dimensions too', () => {
    // Sources at -u and u: the posterior mean is u tanh(x · u / σ²), whatever lies across.
    const values = Float32Array.of(-0.5, -0.25, 1, -0.125, 0.5, 0.25, -1, 0.125);
    const [at, u] = [Float64Array.of(0.2, -0.4, 0.1, 0.9), values.subarray(4)];
    const along = at.reduce((sum, x, i) => sum + x * u[i], 0);
    exactMean({ values, dimension: 4 }, at, 0.7).forEach((each, i) =>
      expect(each).toBeCloseTo(u[i] * Math.tanh(along / 0.49), 12),
    );
  });

  test('a reference batch holds the source first and every row once', () => {
    const order = Uint32Array.of(4, 2, 0, 1, 3);
    expect([...referencesAround(2, 3, order)]).toEqual([2, 4, 0]);
    expect([...referencesAround(1, 99, order)]).toEqual([1, 4, 2, 0, 3]);
  });

  test.each([
    ['points', points, 0.4, 64],
    ['pictures', digits, 3, 64],
  ])(
    'of %s, drawn again and again, both targets average to the exact mean, the stable one with less variance',
    (_, sources, sigma, n) => {
      const noisy = noisySamples(sources, { sigma, count: 3 });
      const draws = 400;
      const zeros = (): Float64Array => new Float64Array(sources.dimension);
      const sums = noisy.map(({ at }) => ({
        dsm: zeros(),
        stf: zeros(),
        dsmSquare: 0,
        stfSquare: 0,
        exact: exactMean(sources, at, sigma),
      }));
      for (let draw = 1; draw <= draws; draw++)
        targetsOf(sources, noisy, { sigma, n, draw }).forEach(({ dsm, stf, exact }, i) => {
          const sum = sums[i];
          expect(exact).toEqual(sum.exact);
          for (let axis = 0; axis < sources.dimension; axis++) {
            sum.dsm[axis] += dsm[axis] / draws;
            sum.stf[axis] += stf[axis] / draws;
          }
          sum.dsmSquare += squaredDistance(dsm, exact) / draws;
          sum.stfSquare += squaredDistance(stf, exact) / draws;
        });
      for (const { dsm, stf, dsmSquare, stfSquare, exact } of sums) {
        // Five standard errors of a mean of independent draws.
        expect(squaredDistance(dsm, exact)).toBeLessThan((25 * dsmSquare) / draws);
        expect(squaredDistance(stf, exact)).toBeLessThan((25 * stfSquare) / draws);
        expect(stfSquare).toBeLessThan(dsmSquare / 2);
      }
    },
  );

  test('the densest row has the most neighbours', () => {
    expect(densestRow(plane(0, 0, 1, 1, 1.01, 1, 1, 1.01, -1, 0.5))).toBe(1);
  });
});

describe('measured variance', () => {
  const measured = (n: number, draws: number): ReturnType<VarianceMeter['result']> => {
    const meter = new VarianceMeter(points, n, sigmaRanges.points);
    meter.draw(draws);
    return meter.result();
  };

  test('is that of the data far away, nothing where all data are references, and in between where some are', () => {
    const all = measured(dataLength, 40);
    expect(Math.max(...all.stf)).toBeLessThan(1e-20);
    const some = measured(64, 300);
    const last = some.sigmas.length - 1;
    // Both coordinates of the distribution have the variance 0.25; 512 points and 300 draws of them are 10 % off at most.
    expect(some.dsm[last] * some.sigmas[last] ** 2).toBeGreaterThan(0.45);
    expect(some.dsm[last] * some.sigmas[last] ** 2).toBeLessThan(0.55);
    // Far away all weigh alike: the mean of 64 of 512 points, whose variance is 1/64 · (512 - 64) / 511 of theirs.
    expect(some.stf[last] / some.dsm[last] / (448 / 511 / 64)).toBeGreaterThan(0.8);
    expect(some.stf[last] / some.dsm[last] / (448 / 511 / 64)).toBeLessThan(1.25);
    const middle = middleVariances(some);
    expect(middle.stf).toBeLessThan(middle.dsm / 2);
    expect(some.borders.lower).toBeGreaterThan(0.002);
    expect(some.borders.upper).toBeGreaterThan(0.5);
    expect(some.borders.upper).toBeLessThan(3);
  });
});

describe('pictures', () => {
  test('digits are dark on white, ten kinds by turns, each written its own way', () => {
    const pixels = digitPictures(digitCount);
    const ink = (i: number): Uint8Array => pixels.subarray(i * 144, (i + 1) * 144);
    for (let i = 0; i < digitCount; i++) {
      const shares = ink(i).filter((pixel) => pixel < 128).length / 144;
      expect(shares).toBeGreaterThan(0.05);
      expect(shares).toBeLessThan(0.5);
    }
    expect(new Set(Array.from({ length: digitCount }, (_, i) => ink(i).join())).size).toBe(digitCount);
    // On the average a digit is nearer to its like than to others: twenty of each kind.
    const away = (a: number, b: number): number => squaredDistance(ink(a), ink(b));
    let [alike, other] = [0, 0];
    for (let i = 0; i < 200; i++) {
      alike += away(i, (i + 10) % 200) / 200;
      other += away(i, (i + 13) % 200) / 200;
    }
    expect(alike).toBeLessThan(0.75 * other);
    expect(digitPictures(3)).toEqual(pixels.subarray(0, 3 * 144));
  });

  test('of a picture the square in the middle is kept, and versions are cut out of it and mirrored', () => {
    // 36 x 54 pixels that get lighter to the right, white in the part that is cut off.
    const [width, height] = [36, 54];
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        data.fill(y < 9 || y >= 45 ? 255 : 4 * x, (y * width + x) * 3, (y * width + x + 1) * 3);
    const kept = keptOf({ width, height, channels: 3, data });
    expect(kept).toHaveLength(18 * 18);
    const pixels = ownPixels([kept, kept]);
    const version = (i: number): Uint8Array => pixels.subarray(i * 256, (i + 1) * 256);
    expect(pixels).toHaveLength(2 * versionsEach * 256);
    expect(version(0)).toEqual(plainOf(kept));
    expect(version(versionsEach)).toEqual(version(0));
    // A pixel is two of the picture's wide, and the cut in the middle begins with the second: 4 · (2.5, 4.5, ...).
    const row = (i: number): number[] => [...version(i).subarray(8 * 16, 9 * 16)];
    row(0).forEach((value, x) => expect(Math.abs(value - 4 * (2 * (x + 1) + 0.5))).toBeLessThanOrEqual(1));
    expect(row(1)).toEqual(row(0).reverse());
    // A cut one pixel further left and up.
    expect(version(2)[17]).toBe(version(0)[0]);
    // Grey is mostly green.
    const [red, green, blue] = [0, 1, 2].map((channel) =>
      keptOf({
        width: 18,
        height: 18,
        channels: 3,
        data: new Uint8Array(972).map((_, i) => (i % 3 === channel ? 255 : 0)),
      }),
    );
    expect([red[0], green[0], blue[0]]).toEqual([76, 150, 29]);
  });

  test('the tour finds the middle phase of pictures', () => {
    const { first, near, middle } = levelsFor(digits, true);
    const meter = new VarianceMeter(digits, 64, sigmaRanges.pictures);
    meter.draw(20);
    const { sigmas, dsm, stf, borders } = meter.result();
    // The levels come of six draws, of which a border is off by a third or so; the middle phase is eight times as wide.
    expect(near * 3).toBeGreaterThan(borders.lower! / 1.6);
    expect(near * 3).toBeLessThan(1.6 * borders.lower!);
    expect(borders.upper! / borders.lower!).toBeGreaterThan(5);
    expect(first).toBeLessThan(borders.lower!);
    expect(middle).toBeGreaterThan(borders.lower!);
    expect(middle).toBeLessThan(borders.upper!);
    const at = sigmas.findIndex((sigma) => sigma > middle);
    expect(stf[at]).toBeLessThan(dsm[at] / 3);
  });

  test('both tours go the same way', () => {
    const titles = (isOfPictures: boolean): string[] => tourOf(isOfPictures).map(({ title }) => title);
    expect(titles(true)).toEqual(titles(false));
    const levels = levelsFor(points, false);
    const scenes = [false, true].map((isOfPictures) =>
      titles(false).map((_, step) => ({ ...sceneOf(step, isOfPictures, levels), chosen: 0 })),
    );
    expect(scenes[0]).toEqual(scenes[1]);
  });

  test('settings fit data of any length', () => {
    expect(referenceSizes(dataLength)).toEqual([8, 16, 32, 64, 128, 256, 512]);
    expect(fitted(start, dataLength, dataLength)).toBe(start);
    for (const length of [10, 30, 100, 240, 256, 512]) {
      const { references, batch } = fitted(start, length, 1);
      expect(referenceSizes(length)).toContain(references);
      expect(batchSizes(length)).toContain(batch);
      expect(batch).toBeLessThanOrEqual(references);
    }
    expect(fitted(start, 100, 512)).toMatchObject({ references: 32, batch: 32 });
    expect(fitted(start, 10, 512)).toMatchObject({ references: 10, batch: 8 });
    expect(countOf(digits)).toBe(digitCount);
    expect(sourceAt(digits, 1)).toHaveLength(144);
  });
});

describe('view', () => {
  test('a frame lies within the whole cloud and shows the crowd', () => {
    const crowd = pointOf(points, densestRow(points));
    for (const sigma of [0.001, 0.01, 0.05, 0.3, 10]) {
      const [frame, whole] = [frameAt(sigma, crowd), wholeCloud(sigma)];
      expect(isWithin(frame, crowd)).toBe(true);
      for (const axis of [0, 1])
        expect(Math.abs(frame.centre[axis]) + frame.halfWidth).toBeLessThanOrEqual(whole.halfWidth * (1 + 1e-12));
    }
    expect(frameAt(1, crowd)).toEqual({ centre: [0, 0], halfWidth: wholeCloud(1).halfWidth });
  });

  test('pixels go right and down, the plane right and up', () => {
    const view = { size: 200, centre: [1, 2], halfWidth: 2 } as const;
    expect(toPixels(view, 1, 2)).toEqual([100, 100]);
    expect(toPixels(view, 3, 4)).toEqual([200, 0]);
  });

  test('a grid has the middles of its cells', () => {
    expect([...gridOver({ centre: [1, 0], halfWidth: 2 }, 2)]).toEqual([0, -1, 2, -1, 0, 1, 2, 1]);
  });

  test('arrows of a field have its direction and stay in their cell', () => {
    for (const strength of [0, 0.01, 1, 1e6]) {
      const { from, to } = fieldArrow([0.6 * strength, -0.8 * strength], { cell: 10, unit: 1 });
      const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
      expect(Math.hypot(dx, dy)).toBeLessThanOrEqual(9.5 + 1e-9);
      expect(dx * -0.8 - dy * 0.6).toBeCloseTo(0, 9);
      expect(dx).toBeGreaterThanOrEqual(0);
    }
  });

  test('barbs are as long as asked for, shorter on a short arrow', () => {
    for (const [length, wanted] of [
      [100, 6],
      [5, 3],
    ])
      for (const [x, y] of barbs([0, 0], [length, 0], 6)) expect(Math.hypot(x - length, y)).toBeCloseTo(wanted, 12);
  });

  test('the nearest point is found within reach only', () => {
    const places = [
      [0, 0],
      [10, 0],
      [12, 0],
    ] as const;
    expect(nearestWithin(places, [10.9, 0], 16)).toBe(1);
    expect(nearestWithin(places, [40, 0], 16)).toBeUndefined();
  });
});

describe('charts', () => {
  test('ticks are round and within the range', () => {
    expect(linearScale({ from: 0, to: 1.73 }, { from: 0, to: 100 }, 4).ticks).toEqual([0, 0.5, 1, 1.5]);
    expect(linearScale({ from: 3, to: 640 }, { from: 0, to: 100 }, 4).ticks).toEqual([200, 400, 600]);
    const log = logScale({ from: 0.001, to: 10 }, { from: 0, to: 100 });
    expect(log.ticks.map(tickText)).toEqual(['0.001', '0.01', '0.1', '1', '10']);
    expect(log.at(0.1)).toBeCloseTo(50, 9);
    expect(logScale({ from: 0.15, to: 2.4 }, { from: 0, to: 1 }).ticks.map(tickText)).toEqual(['0.2', '0.5', '1', '2']);
  });

  test('numbers are short', () => {
    expect([0, 0.00123, 0.0456, 0.789, 1.234, 12345].map(readable)).toEqual([
      '0',
      '0.001',
      '0.0456',
      '0.789',
      '1.23',
      '12,345',
    ]);
  });

  test('a long history is thinned and keeps its mean', () => {
    const history = new History();
    const count = 4800;
    for (let step = 1; step <= count; step++) history.add(step, { dsm: step, stf: -step });
    expect(history.steps.length).toBeLessThan(600);
    expect(history.steps.length).toBeGreaterThan(250);
    expect(history.steps).toEqual([...history.steps].sort((a, b) => a - b));
    const mean = history.dsm.reduce((a, b) => a + b, 0) / history.dsm.length;
    // Whole points only: the values that wait for the next one are missing, less than a point's width.
    expect(Math.abs(mean - (count + 1) / 2)).toBeLessThan(count / history.steps.length);
  });

  test('smoothing leaves a constant alone, from the first value on', () => {
    for (const value of smoothed([3, 3, 3, 3], 2)) expect(value).toBeCloseTo(3, 12);
    expect(smoothed([1, 2], 1)[1]).toBeCloseTo((0.25 * 1 + 0.5 * 2) / 0.75, 12);
  });
});

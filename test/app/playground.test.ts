import { describe, expect, test } from 'vitest';
import { dataLength, datasetOf, pointsOf } from '../../app/playground/src/data-sets.ts';
import { History, smoothed } from '../../app/playground/src/history.ts';
import { linearScale, logScale, readable, tickText } from '../../app/playground/src/scale.ts';
import { middleVariances, VarianceMeter } from '../../app/playground/src/target-variance.ts';
import {
  densestRow,
  exactMean,
  noisyPoints,
  pointOf,
  referencesAround,
  squaredDistance,
  targetsOf,
} from '../../app/playground/src/targets.ts';
import type { Point } from '../../app/playground/src/targets.ts';
import {
  barbs,
  fieldArrow,
  frameAt,
  gridOver,
  isWithin,
  nearestWithin,
  toPixels,
  wholeCloud,
} from '../../app/playground/src/view.ts';

const points = pointsOf(datasetOf('eightGaussians'));

describe('targets', () => {
  test('the exact mean is Bayes for two sources', () => {
    // Sources at -1 and 1 on the x axis: the posterior mean is tanh(x / σ²).
    const two = Float32Array.of(-1, 0, 1, 0);
    const [x, y] = exactMean(two, [0.3, 0.7], 0.8);
    expect(x).toBeCloseTo(Math.tanh(0.3 / 0.64), 12);
    expect(y).toBe(0);
  });

  test('a reference batch holds the source first and every row once', () => {
    const order = Uint32Array.of(4, 2, 0, 1, 3);
    expect([...referencesAround(2, 3, order)]).toEqual([2, 4, 0]);
    expect([...referencesAround(1, 99, order)]).toEqual([1, 4, 2, 0, 3]);
  });

  test('drawn again and again, both targets average to the exact mean, the stable one with less variance', () => {
    const sigma = 0.4;
    const noisy = noisyPoints(points, { sigma, count: 3, isSeen: () => true });
    const draws = 400;
    const sums = noisy.map(() => ({ dsm: [0, 0], stf: [0, 0], dsmSquare: 0, stfSquare: 0, exact: [0, 0] as Point }));
    for (let draw = 1; draw <= draws; draw++)
      targetsOf(points, noisy, { sigma, n: 64, draw }).forEach(({ dsm, stf, exact }, i) => {
        const sum = sums[i];
        sum.exact = exact;
        for (const axis of [0, 1]) {
          sum.dsm[axis] += dsm[axis] / draws;
          sum.stf[axis] += stf[axis] / draws;
        }
        sum.dsmSquare += squaredDistance(dsm, exact) / draws;
        sum.stfSquare += squaredDistance(stf, exact) / draws;
      });
    for (const { dsm, stf, dsmSquare, stfSquare, exact } of sums) {
      // Five standard errors of a mean of independent draws.
      expect(squaredDistance(dsm as unknown as Point, exact)).toBeLessThan((25 * dsmSquare) / draws);
      expect(squaredDistance(stf as unknown as Point, exact)).toBeLessThan((25 * stfSquare) / draws);
      expect(stfSquare).toBeLessThan(dsmSquare / 4);
    }
  });

  test('the densest row has the most neighbours', () => {
    expect(densestRow(Float32Array.of(0, 0, 1, 1, 1.01, 1, 1, 1.01, -1, 0.5))).toBe(1);
  });
});

describe('measured variance', () => {
  const measured = (n: number, draws: number): ReturnType<VarianceMeter['result']> => {
    const meter = new VarianceMeter(points, n);
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

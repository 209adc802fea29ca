import { describe, expect, test } from 'vitest';
import { chartGroups } from '../../app/dashboard/src/chart-specs.ts';
import { commonAxis, drawnLine, placesOn, smoothed } from '../../app/dashboard/src/curve-data.ts';
import { runColors } from '../../app/dashboard/src/run-colors.ts';

const series = (x: readonly number[], mean: readonly (number | null)[]) => ({
  id: 'a',
  version: '1',
  exact: true,
  x,
  curves: { loss: { mean, min: mean, max: mean } },
});

describe('smoothing', () => {
  test('leaves a constant alone from the first value on, and passes over gaps', () => {
    // Powers of 0.9 sum up to 1 - 0.9^n, by which the sum is divided: only rounding is left.
    for (const value of smoothed([3, 3, null, 3, 3], 0.9).filter((each) => each !== null))
      expect(value).toBeCloseTo(3, 12);
    expect(smoothed([1, null, 2], 0)).toEqual([1, null, 2]);
  });

  test('weighs values by powers of the weight', () => {
    // 0.5 · 4 + 0.25 · 2 + 0.125 · 1, over 0.875.
    expect(smoothed([1, 2, 4], 0.5)[2]).toBeCloseTo((0.5 * 4 + 0.25 * 2 + 0.125) / 0.875, 12);
  });
});

describe('the common axis', () => {
  test('of one run is its own, of several that of all where they are few', () => {
    expect(commonAxis([series([1, 5, 9], [1, 2, 3])])).toEqual([1, 5, 9]);
    expect(commonAxis([series([1, 5], [1, 2]), series([2, 5], [1, 2])])).toEqual([1, 2, 5]);
  });

  test('of many points is an even grid on which every point finds its nearest place', () => {
    const many = Array.from({ length: 3000 }, (_, i) => i * i);
    const axis = commonAxis([series(many, []), series([0.5], [])]);
    expect(axis.length).toBeLessThanOrEqual(900);
    const places = placesOn(axis, many);
    many.forEach((value, i) => {
      const nearest = Math.min(...axis.map((place) => Math.abs(place - value)));
      expect(Math.abs(axis[places[i]] - value)).toBe(nearest);
    });
  });
});

test('a logarithmic axis leaves out what it can not show', () => {
  const line = drawnLine(series([0, 1, 2], [1, 0, 100]), 'loss', [0, 1, 2], 3, { weight: 0, isLog: true })!;
  expect(line.values).toEqual([1, null, 100]);
});

test('a band stays a band when values are turned round', () => {
  const own = { ...series([0], [2]), curves: { rate: { mean: [2], min: [1], max: [4] } } };
  const line = drawnLine(own, 'rate', [0], 1, { weight: 0, isLog: false, transform: (value) => 1000 / value })!;
  expect([line.min, line.max]).toEqual([[250], [1000]]);
});

describe('charts', () => {
  const keys = [
    'Loss/loss',
    'Loss/low',
    'Target/dsm_variance/mid',
    'Target/stf_variance/mid',
    'Progress/kimg',
    'Own/thing',
  ];
  const groups = chartGroups([...keys, 'Metrics/fid', 'Gradient/noise_scale']);
  const titles = groups.flatMap(({ charts }) => charts.map(({ title }) => title));

  test('show every quantity once, both targets in one, and what is not known by its name', () => {
    expect(titles).toEqual([
      'Loss',
      'Gradient noise scale',
      'FID',
      'Loss, low noise',
      'Variance, middle noise',
      'Own/thing',
    ]);
    const drawn = groups.flatMap(({ charts }) => charts.flatMap(({ lines }) => lines.map(({ key }) => key)));
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  test('of evaluations say what is better, and may be negative or shares on a linear axis only', () => {
    const names = ['recall', 'kid', 'fid', 'own'].map((name) => `Metrics/${name}`);
    const [own, others] = chartGroups(names);
    expect(own.charts.map(({ title, unit, isAlwaysLinear = false }) => [title, unit, isAlwaysLinear])).toEqual([
      ['FID', 'lower is better', false],
      ['KID × 1000', 'lower is better', true],
      ['Recall', 'higher is better', true],
    ]);
    expect([...own.charts, ...others.charts].every(({ isMeasured }) => isMeasured)).toBe(true);
  });
});

test('runs have the colour of their method first, and never the same twice while there are others', () => {
  const runs = (['stf', 'stf', 'dsm', null] as const).map((method) => ({ method }));
  const colors = runColors(runs);
  expect([colors[0], colors[2]]).toEqual(['stf', 'dsm']);
  expect(new Set(colors).size).toBe(4);
});

import { expect, test } from 'vitest';
import { emaBetaAt, learningRateAt } from '../../src/training/index.ts';
import { StatisticsCollector } from '../../src/training/statistics.ts';
import { rangeOf } from '../../src/training/target-probe.ts';
import { expectClose } from '../support/compare.ts';

/** Images seen before each of eight steps of 8 images. */
const seen = Array.from({ length: 8 }, (_, step) => 8 * step);

// What the official training loop used with a ramp-up of 0.032 kimg to 0.002, a half-life of 0.02 kimg and a ramp-up
// ratio of 0.5, eight steps of 8 images; recorded from it.
test('the learning rate ramps up as recorded', () => {
  const rates = seen.map((nimg) => learningRateAt(nimg, { learningRate: 0.002, rampKimg: 0.032 }));
  expectClose(rates, [0, 0.0005, 0.001, 0.0015, 0.002, 0.002, 0.002, 0.002], { relative: 1e-15 });
});

test('the moving average keeps as much as recorded', () => {
  const recorded = [0, 0.25, 0.5, 0.6299605249474366, 0.7071067811865476, ...Array<number>(3).fill(0.757858283255199)];
  const betas = seen.map((nimg) => emaBetaAt(nimg, 8, { halfLifeKimg: 0.02, rampUpRatio: 0.5 }));
  expectClose(betas, recorded, { relative: 1e-15 });
  const constant = seen.map((nimg) => emaBetaAt(nimg, 8, { halfLifeKimg: 0.02, rampUpRatio: null }));
  expectClose(constant, Array<number>(8).fill(0.757858283255199), { relative: 1e-15 });
});

test('without ramp-up only the very first step has rate 0, as in the recipe', () => {
  const options = { learningRate: 0.5, rampKimg: 0 };
  expect([0, 1, 1e6].map((nimg) => learningRateAt(nimg, options))).toEqual([0, 0.5, 0.5]);
});

test('a half-life is the number of images after which an old weight counts half', () => {
  const beta = emaBetaAt(1e9, 50, { halfLifeKimg: 0.5, rampUpRatio: null });
  expectClose([beta ** 10], [0.5], { relative: 1e-14 });
  expect(emaBetaAt(1e9, 50, { halfLifeKimg: 0, rampUpRatio: null })).toBe(0);
});

test('statistics of a tick: number, mean and spread', () => {
  const collector = new StatisticsCollector();
  collector.report('loss', [1, 2]);
  collector.report('loss', 6);
  collector.report('rate', Float32Array.of(0.5));
  const { values, timestamp } = collector.take(12.5);
  expect(timestamp).toBe(12.5);
  expect(Object.keys(values)).toEqual(['loss', 'rate']);
  expect(values.loss).toMatchObject({ num: 3, mean: 3 });
  // Of the values themselves, not of a sample: sqrt((4 + 1 + 9) / 3).
  expectClose([values.loss.std], [Math.sqrt(14 / 3)], { relative: 1e-15 });
  expect(values.rate).toEqual({ num: 1, mean: 0.5, std: 0 });
  expect(collector.take(13).values).toEqual({});
});

test('ranges of sigma include their lower border', () => {
  expect([0.1, 1.99, 2, 9.9, 10, 80].map((sigma) => rangeOf(sigma, [2, 10]))).toEqual([
    'low',
    'low',
    'mid',
    'mid',
    'high',
    'high',
  ]);
});

import { expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { toyDataset } from '../../src/data/toy.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { gradientNoise } from '../../src/training/index.ts';
import type { GradientComparison } from '../../src/training/index.ts';
import { toyOptions } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });
const dataset = toyDataset('eightGaussians', { length: 400, seed: 0 });
const options = toyOptions({
  noiseLevels: { kind: 'log-uniform', sigmaMin: 1e-4, sigmaMax: 50 },
  sigmaRanges: [1e-3, 0.3],
});
const weights = initialize(
  parameterTable((source) => makeDenoiser(source, options.denoiser)),
  3,
).map((value, i) => value + 0.05 * Math.sin(i)); // away from the start, where the last layer is nil

const measure = (batch: number, batches = 96): Promise<GradientComparison[]> =>
  gradientNoise(runtime, dataset, options, weights, { batch, references: 100, batches, blocks: 8, seed: 5 });

const found = await measure(8);
const inRange = (comparisons: readonly GradientComparison[], name: GradientComparison['range']) =>
  comparisons.find(({ range }) => range === name)!;

test('each range of noise levels is measured, and all together', () => {
  expect(found.map(({ range }) => range)).toEqual(['low', 'mid', 'high', 'all']);
  for (const { range, levels } of found) {
    expect(levels[0]).toBeGreaterThanOrEqual({ low: 1e-4, mid: 1e-3, high: 0.3, all: 1e-4 }[range]);
    expect(levels[1]).toBeLessThanOrEqual({ low: 1e-3, mid: 0.3, high: 50, all: 50 }[range]);
  }
});

test('where a sample has one source both objectives have the same gradients', () => {
  // Points are some 0.005 apart, and the noise is at most 0.001: nearly all weight is on the source.
  const { dsm, stf, ratio } = inRange(found, 'low');
  expect(stf.variance.value / dsm.variance.value).toBeCloseTo(1, 2);
  expect(ratio.value).toBe(stf.variance.value / dsm.variance.value);
});

test('at high noise the stable target takes the noise of the clean sample out of the gradient', () => {
  const { dsm, stf, ratio } = inRange(found, 'high');
  expect(ratio.value + 3 * ratio.error).toBeLessThan(1);
  // Both gradients have the same expectation (Rao-Blackwell): four standard errors, those of one measurement each.
  expect(Math.abs(stf.signal.value - dsm.signal.value)).toBeLessThan(
    4 * Math.hypot(stf.signal.error, dsm.signal.error),
  );
});

test('four times the samples have a quarter of the variance, and the same expected gradient', async () => {
  const larger = inRange(await measure(32, 48), 'all');
  const smaller = inRange(found, 'all');
  const ratio = smaller.dsm.variance.value / larger.dsm.variance.value;
  const error =
    ratio *
    Math.hypot(
      smaller.dsm.variance.error / smaller.dsm.variance.value,
      larger.dsm.variance.error / larger.dsm.variance.value,
    );
  expect(Math.abs(ratio - 4)).toBeLessThan(4 * error);
  expect(error).toBeLessThan(1.5); // or the test above could not fail
  expect(Math.abs(smaller.dsm.signal.value - larger.dsm.signal.value)).toBeLessThan(
    4 * Math.hypot(smaller.dsm.signal.error, larger.dsm.signal.error),
  );
});

test('the noise scale is samples times variance over the squared expected gradient', () => {
  for (const { dsm, stf } of found)
    for (const { variance, signal, noiseScale } of [dsm, stf])
      expect(noiseScale.value).toBeCloseTo((8 * variance.value) / signal.value, 6);
});

test('numbers that do not fit are refused', async () => {
  await expect(measure(8, 95)).rejects.toThrow(UsageError);
  await expect(
    gradientNoise(runtime, dataset, options, weights, { batch: 8, references: 401, batches: 8, blocks: 2, seed: 0 }),
  ).rejects.toThrow('references must be at most the 400 samples');
});

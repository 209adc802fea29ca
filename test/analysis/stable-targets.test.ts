import { beforeAll, describe, expect, test } from 'vitest';
import {
  analyzeTargets,
  drawNoisySamples,
  engineSum,
  fitPowerLaw,
  float64Sum,
  phaseBorders,
  phaseOf,
  phaseShares,
  targetErrors,
  varianceFactor,
} from '../../src/analysis/index.ts';
import type { PhaseDistances, TargetAnalysis } from '../../src/analysis/index.ts';
import { memoryDataset, pointDataset } from '../../src/data/dataset.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const runtime = nodeRuntime({ threads: 1 });

/*
 * Three values with enumerable batches. Given x the target over n references with the source among them is Σ over counts of
 * the values: here all batches of each size are enumerated by recursion over the references, so nothing is drawn.
 */
describe('on three values', () => {
  const values = [-1, 0.5, 3];
  const dataset = pointDataset({ name: 'three', points: Float32Array.from(values), dimension: 1 });
  const sizes = [1, 2, 4];
  let analysis: TargetAnalysis;

  beforeAll(async () => {
    analysis = await analyzeTargets(runtime, dataset, { sigmas: [1], sizes, images: 8, batches: 400, seed: 2 });
  });

  /** Exact mean and variance of the target at x, the first reference from `first`, n - 1 others uniform. */
  function enumerate(x: number, n: number, first: readonly number[]): { mean: number; variance: number } {
    const w = values.map((y) => Math.exp(-((x - y) ** 2) / 2));
    const moments = [0, 0];
    const visit = (left: number, total: number, sum: number, probability: number): void => {
      if (left === 0) {
        moments[0] += probability * (sum / total);
        moments[1] += probability * (sum / total) ** 2;
        return;
      }
      values.forEach((y, k) => visit(left - 1, total + w[k], sum + w[k] * y, probability / 3));
    };
    values.forEach((y, k) => visit(n - 1, w[k], w[k] * y, first[k]));
    return { mean: moments[0], variance: moments[1] - moments[0] ** 2 };
  }

  test('the theorem itself, by enumeration: unbiased with the source, biased without', () => {
    const x = 1;
    const w = values.map((y) => Math.exp(-((x - y) ** 2) / 2));
    const total = w.reduce((a, b) => a + b, 0);
    const exact = values.reduce((sum, y, k) => sum + (w[k] * y) / total, 0);
    const posterior = w.map((each) => each / total);
    for (const n of sizes) expect(Math.abs(enumerate(x, n, posterior).mean - exact)).toBeLessThan(1e-14);
    expect(Math.abs(enumerate(x, 4, [1 / 3, 1 / 3, 1 / 3]).mean - exact)).toBeGreaterThan(0.02);
  });

  test('traces and biases agree with it', () => {
    // The noisy samples of the analysis, drawn again.
    const { clean, noise } = drawNoisySamples(dataset, { sigma: 1, level: 0, count: 8, seed: 2 });
    const [level] = analysis.levels;
    sizes.forEach((n, i) => {
      for (const kind of ['withSource', 'withoutSource'] as const) {
        const exact = Array.from(clean, (y, s) => {
          const x = y + noise[s];
          const w = values.map((each) => Math.exp(-((x - each) ** 2) / 2));
          const total = w.reduce((a, b) => a + b, 0);
          const first = kind === 'withSource' ? w.map((each) => each / total) : [1 / 3, 1 / 3, 1 / 3];
          const target = values.reduce((sum, each, k) => sum + (w[k] * each) / total, 0);
          const { mean, variance } = enumerate(x, n, first);
          return { variance, bias: (mean - target) ** 2 };
        });
        const { trace, biasSquared } = level[kind][i];
        const average = (of: (each: (typeof exact)[number]) => number): number =>
          exact.reduce((sum, each) => sum + of(each), 0) / exact.length;
        // The noisy samples are the same, so only the draws err: by less than the whole standard error.
        expect(Math.abs(trace.mean - average((each) => each.variance)), `${kind}, n = ${n}: trace`).toBeLessThan(
          2 * trace.standardError,
        );
        expect(Math.abs(biasSquared.mean - average((each) => each.bias)), `${kind}, n = ${n}: bias`).toBeLessThan(
          3 * biasSquared.standardError,
        );
      }
    });
  });

  test('the limit of n Tr Cov is below the bound, and the variance of DSM is that of n = 1', () => {
    const [{ inequality, withSource }] = analysis.levels;
    const { asymptote, variance, divergenceTerm } = inequality;
    expect(asymptote.mean).toBeLessThanOrEqual(variance.mean + divergenceTerm.mean);
    expect(asymptote.mean).toBeGreaterThan(0);
    expect(Math.abs(withSource[0].trace.mean - variance.mean)).toBeLessThan(2 * withSource[0].trace.standardError);
  });
});

test('far from the data the covariance falls as 1/n, with the limit that theory gives', async () => {
  const points = Float32Array.from(testValues(600, [-1, 1]));
  const dataset = pointDataset({ name: 'square', points, dimension: 2 });
  const sizes = [16, 64, 256, 1024];
  const { levels } = await analyzeTargets(runtime, dataset, { sigmas: [10], sizes, images: 8, batches: 100, seed: 0 });
  const [{ slope, inequality, withSource }] = levels;
  // At σ five times the size of the data the law of large n holds from n = 16 on. The slope of 100 batches over a factor of
  // 64 in n is good to about 0.05.
  expect(Math.abs(slope!.slope + 1)).toBeLessThan(0.1);
  const last = withSource[withSource.length - 1];
  expect(Math.abs(1024 * last.trace.mean - inequality.asymptote.mean)).toBeLessThan(
    3 * (1024 * last.trace.standardError + inequality.asymptote.standardError),
  );
});

test('errors of a target: those of a normal law that was drawn', () => {
  // Two values beside each other: draws ±1 about (3, 0) in turn, exact target (2, 0).
  const targets = Float64Array.of(4, 0, 2, 0, 4, 0, 2, 0);
  const errors = targetErrors(targets, [2, 0]);
  expect(errors.trace).toBeCloseTo(4 / 3, 12);
  expect(errors.biasNorm).toBeCloseTo(1, 12);
  expect(errors.biasSquared).toBeCloseTo(1 - 4 / 3 / 4, 12);
  expect(errors.meanSquare).toBeCloseTo(2, 12);
  // |T - mean|² is 1 for each: no spread.
  expect(errors.traceError).toBeCloseTo(0, 12);
  expect(() => targetErrors(targets.subarray(0, 4), [2, 0])).toThrow('3 or more draws');
});

test('weighted sums of pixels and of points: the engine’s are those of float64', async () => {
  const weights = Float64Array.from(testValues(3 * 70, [0, 1]));
  const rows = Array.from({ length: 70 }, (_, j) => (j * 7) % 40);
  for (const data of [
    Uint8Array.from({ length: 40 * 12 }, (_, i) => (i * 37) % 256),
    Float32Array.from(testValues(480, [-2, 2])),
  ]) {
    const dataset = memoryDataset({ name: 'rows', data, sampleShape: [3, 2, 2] });
    const [engine, plain] = [await engineSum(runtime, dataset, { samples: 4, block: 32 }), float64Sum(dataset)];
    // 70 values of at most 255 steps of a pixel each, in float32: 70 · 2⁻²⁴ · 2.
    expectClose(await engine.of(weights, rows), await plain.of(weights, rows), { absolute: 2e-5 }, 'sums');
    await engine.release();
  }
});

test('a power law is found, and its interval covers it', () => {
  const x = [1, 4, 16, 64];
  const noise = testValues(40, [-0.1, 0.1], 9);
  const units = Array.from({ length: 10 }, (_, u) => x.map((n, i) => (3 / n) * (1 + noise[u * 4 + i])));
  const { slope, factor, interval } = fitPowerLaw(x, units);
  // Ten units of ±6 % over a factor of 64: the slope is good to 0.06 / √10 / 3.
  expect(Math.abs(slope + 1)).toBeLessThan(0.03);
  expect(Math.abs(factor - 3)).toBeLessThan(0.2);
  expect(interval[0]).toBeLessThan(slope);
  expect(interval[1]).toBeGreaterThan(slope);
  expect(interval[1] - interval[0]).toBeLessThan(0.1);
  expect(() => fitPowerLaw([1], [[1], [1]])).toThrow('needs 2 abscissae');
});

describe('borders', () => {
  const level = (sigma: number, distanceToPoint: number, distanceToPrior: number): PhaseDistances => ({
    sigma,
    distanceToPoint,
    distanceToPrior,
  });

  test('are where the curves cross the threshold, linear in ln σ', () => {
    const levels = [level(1, 0, 1), level(10, 0.5, 0.9), level(100, 1, 0.35), level(1000, 1, 0.15)];
    const { lower, upper } = phaseBorders(levels, 0.25);
    expect(lower).toBeCloseTo(Math.sqrt(10), 12);
    expect(upper).toBeCloseTo(100 * Math.sqrt(10), 10);
  });

  test('outside the grid they are null, and the grid’s end says which phase it is', () => {
    const near = [level(1, 0, 1), level(2, 0.01, 0.99)];
    expect(phaseBorders(near)).toMatchObject({ lower: null, upper: null });
    expect(phaseOf(1.5, phaseBorders(near), near)).toBe('near');
    const far = [level(1, 1, 0.2), level(2, 1, 0.1)];
    expect(phaseOf(1.5, phaseBorders(far), far)).toBe('far');
    const middle = [level(1, 0.6, 0.9), level(2, 0.9, 0.6)];
    expect(phaseOf(1.5, phaseBorders(middle), middle)).toBe('intermediate');
  });

  test('shares of EDM’s noise levels are those of the normal law', () => {
    const levels = [level(0.01, 0, 1), level(1, 0.5, 0.9), level(10, 1, 0.1)];
    const borders = { lower: Math.exp(-1.2), upper: Math.exp(-1.2 + 1.2), threshold: 0.25 };
    const shares = phaseShares({ kind: 'log-normal', pMean: -1.2, pStd: 1.2 }, borders, levels);
    // Φ(0) and Φ(1), with a standard error of 0.002 over 65,536 draws.
    expect(Math.abs(shares.near - 0.5)).toBeLessThan(0.008);
    expect(Math.abs(shares.intermediate - 0.3413)).toBeLessThan(0.008);
    expect(shares.near + shares.intermediate + shares.far).toBeCloseTo(1, 9);
  });
});

test('units: VP’s score target varies 1 / (s² σ⁴) times as much as the denoiser’s', () => {
  const [sigma, scale] = [2, 1 / Math.sqrt(5)];
  // s x₀ - x over s²σ²: a change of 1 in x₀ is one of 1 / (s σ²) in the score.
  expect(varianceFactor('score', sigma, scale)).toBeCloseTo((1 / (scale * sigma ** 2)) ** 2, 12);
  expect(varianceFactor('noise', sigma, scale)).toBeCloseTo(1 / sigma ** 2, 12);
  expect(varianceFactor('denoiser', sigma, scale)).toBe(1);
});

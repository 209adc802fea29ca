import { beforeAll, describe, expect, test } from 'vitest';
import { analyzePhases, mixtureLevel, mixturePosterior, phaseBorders, phaseOf } from '../../src/analysis/index.ts';
import type { PhaseAnalysis, TwoGaussians } from '../../src/analysis/index.ts';
import { pointDataset } from '../../src/data/dataset.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { fillNormal, fillUniform, streams } from '../../src/numerics/random.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Data that have only two places: half of the samples are at -a, half at a. Then the posterior over samples is that over the
 * two places shared evenly, and everything has a closed form in t = tanh(a·x / σ²): weights (1 ± t) / 2 of a place,
 * Tr Cov = |a|² (1 - t²), entropy = ln(N/2) + H₂, 1/Σw² = (N/2) / Σ r², total variation to the prior |t| / 2.
 * Expectations over x come from quadrature along the line through both places, in which a·x is N(±|a|², σ² |a|²).
 */
const [samples, images] = [64, 512];
const runtime = nodeRuntime({ threads: 1 });

/** ∫ f(t) over the noisy samples of the place a, by the trapezoid rule over ± 10 standard deviations. */
function expectation(distance: number, sigma: number, f: (t: number) => number): number {
  let [sum, mass] = [0, 0];
  for (let u = -10; u <= 10; u += 1 / 512) {
    const density = Math.exp(-0.5 * u * u);
    sum += density * f(Math.tanh((distance ** 2 + sigma * distance * u) / sigma ** 2));
    mass += density;
  }
  return sum / mass;
}

describe.each([2, 64])('two places in %i dimensions', (dimension) => {
  const place = 1 / Math.sqrt(dimension);
  const points = Float32Array.from({ length: samples * dimension }, (_, i) =>
    Math.floor(i / dimension) % 2 === 0 ? place : -place,
  );
  // Below 0.5 means hang on a few samples in a thousand, which 512 need not have.
  const sigmas = [0.5, 0.75, 1, 1.5, 2.5, 5];
  let analysis: PhaseAnalysis;

  beforeAll(async () => {
    const dataset = pointDataset({ name: 'two places', points, dimension });
    analysis = await analyzePhases(runtime, dataset, { sigmas, images, seed: 1 });
  });

  const share = (t: number): [number, number] => [(1 + t) / 2, (1 - t) / 2];
  const plogp = (p: number): number => (p > 0 ? p * Math.log(p) : 0);
  const half = samples / 2;
  const measures = [
    ['variance', (t: number) => 1 - t * t],
    ['entropy', (t: number) => Math.log(half) - share(t).reduce((sum, p) => sum + plogp(p), 0)],
    ['effectiveSources', (t: number) => (2 * half) / (1 + t * t)],
    ['klToPrior', (t: number) => Math.log(2) + share(t).reduce((sum, p) => sum + plogp(p), 0)],
    ['toPrior', (t: number) => Math.abs(t) / 2],
    ['toPoint', (t: number) => 1 - (1 + Math.abs(t)) / 2 / half],
    ['sourceWeight', (t: number) => (1 + t) / 2 / half],
  ] as const;

  test.each(measures)('%s', (name, f) => {
    for (const level of analysis.levels) {
      const { mean, standardError } = level[name];
      // 84 means of 512 samples each: 4.5 standard errors are passed by chance once in 1,700 runs, and the seed is fixed.
      // Where nothing varies a float32 log-weight of a few nats is off by 1e-6.
      expect(
        Math.abs(mean - expectation(1, level.sigma, f)),
        `sigma ${level.sigma}: ${mean} ± ${standardError}`,
      ).toBeLessThan(4.5 * standardError + 1e-5);
    }
  });

  test('the nearest sample is at the source’s place as often as the noise leaves it there', () => {
    for (const { sigma, nearestIsSource } of analysis.levels) {
      // The noise along the line is N(0, σ²) and the other place is nearer beyond distance 1.
      const { mean, standardError } = nearestIsSource;
      const wanted = expectation(1, sigma, (t) => Number(t > 0));
      // A probability near 1 has an estimated error of 0; one miss of 512 is then allowed.
      expect(Math.abs(mean - wanted), `sigma ${sigma}`).toBeLessThan(4.5 * standardError + 2 / images);
    }
  });

  test('the upper border is where the total variation to the prior crosses the threshold', () => {
    // |t| / 2 = 1/4 on the average: found by bisection on the closed form.
    let [low, high] = [0.1, 5];
    for (let i = 0; i < 40; i++) {
      const middle = Math.sqrt(low * high);
      if (expectation(1, middle, (t) => Math.abs(t) / 2) > 0.25) low = middle;
      else high = middle;
    }
    // The grid is coarse there, neighbours are apart by a factor of 1.7, and the curve is not quite linear in ln σ.
    expect(Math.abs(Math.log(analysis.borders.upper! / low))).toBeLessThan(0.1);
    // 32 samples share a place, so that none of them ever has most of the weight.
    expect(analysis.borders.lower).toBeNull();
    expect(phaseOf(0.5, analysis.borders, analysis.levels)).toBe('intermediate');
    expect(phaseOf(4, analysis.borders, analysis.levels)).toBe('far');
  });
});

describe.each<[string, TwoGaussians]>([
  ['2', { means: [-1, 0, 1, 0], weights: [0.5, 0.5], deviation: 0.2 }],
  [
    '64, of unequal weights',
    {
      means: Float64Array.from({ length: 128 }, (_, i) => (i < 64 ? 0.15 : -0.15)),
      weights: [0.7, 0.3],
      deviation: 0.1,
    },
  ],
])('two Gaussians in d = %s', (_, mixture) => {
  const d = mixture.means.length / 2;

  /** Noisy samples of the mixture and the components that they come from. */
  function draw(sigma: number, count: number): { x: Float64Array; clean: Float64Array }[] {
    const [uniform, normal] = [new Float64Array(count), new Float64Array(2 * count * d)];
    fillUniform(uniform, { seed: 3, stream: streams.toyData, step: 0, sample: 0 });
    fillNormal(normal, { seed: 3, stream: streams.noise, step: 0, sample: 0 });
    return Array.from({ length: count }, (_unused, s) => {
      const component = uniform[s] < mixture.weights[0] ? 0 : 1;
      const clean = Float64Array.from(
        { length: d },
        (_each, i) => mixture.means[component * d + i] + mixture.deviation * normal[2 * s * d + i],
      );
      return { clean, x: clean.map((value, i) => value + sigma * normal[(2 * s + 1) * d + i]) };
    });
  }

  test('variance of the target: quadrature, mean of the pointwise formula, and squared error of the posterior mean', () => {
    for (const sigma of [0.5, 1, 3]) {
      const level = mixtureLevel(mixture, sigma);
      const drawn = draw(sigma, 4000);
      const posteriors = drawn.map(({ x }) => mixturePosterior(mixture, x, sigma));
      const errors = drawn.map(({ clean }, s) =>
        clean.reduce((sum, value, i) => sum + (value - posteriors[s].mean[i]) ** 2, 0),
      );
      for (const values of [posteriors.map(({ variance }) => variance), errors]) {
        const mean = values.reduce((a, b) => a + b, 0) / values.length;
        const squares = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
        // 12 means: 4.5 standard errors.
        expect(Math.abs(mean - level.variance), `sigma ${sigma}`).toBeLessThan(
          4.5 * Math.sqrt(squares / values.length) + 1e-12,
        );
      }
    }
  });

  test('limits: one component near the data, π far away', () => {
    const near = mixtureLevel(mixture, 1e-3);
    expectClose([near.entropy, near.distanceToPoint, near.between], [0, 0, 0], { absolute: 1e-6 }, 'near');
    const far = mixtureLevel(mixture, 1e3);
    const [p, q] = Array.from(mixture.weights);
    // Off by the square of |μ₁ - μ₂| / σ.
    expectClose([far.entropy], [-(p * Math.log(p) + q * Math.log(q))], { absolute: 1e-5 }, 'entropy');
    expectClose([far.effectiveComponents], [1 / (p * p + q * q)], { absolute: 1e-4 }, 'components');
    expectClose([far.distanceToPrior], [0], { absolute: 2e-3 }, 'prior');
    const distance = Array.from({ length: d }, (_each, i) => (mixture.means[i] - mixture.means[d + i]) ** 2);
    const between = p * q * distance.reduce((a, b) => a + b, 0);
    expectClose([far.variance], [d * mixture.deviation ** 2 + between], { relative: 1e-4 }, 'the prior’s variance');
  });

  test('its components have three phases, in this order', () => {
    const sigmas = Array.from({ length: 40 }, (_each, i) => 0.02 * 1.3 ** i);
    const levels = sigmas.map((sigma) => mixtureLevel(mixture, sigma));
    // Of two modes both total variations are at most 1/2 and at 1/4 together: a smaller threshold sees what is between.
    const borders = phaseBorders(levels, 0.1);
    expect(borders.upper).toBeGreaterThan(borders.lower!);
    expect(levels.map(({ sigma }) => phaseOf(sigma, borders, levels)).join(' ')).toMatch(
      /^(near )+(intermediate )+(far ?)+$/,
    );
  });
});

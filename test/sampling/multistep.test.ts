import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  countEvaluations,
  ddimSampler,
  discretizedLevels,
  dpmSolverSampler,
  edmNoiseLevels,
} from '../../src/sampling/index.ts';
import type { Denoise } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { exactFactor, gaussianDenoiser, orderAt, varianceOf } from '../support/gaussian-data.ts';

const s = 0.5;
const denoise = gaussianDenoiser(s);
const edm = { sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
/** Levels that end above 0: the last step to 0 is of first order whatever comes before. */
const positive = (steps: number): Float64Array => edmNoiseLevels({ ...edm, steps: steps + 1 }).subarray(0, steps + 1);

const samplers: [
  name: string,
  run: (denoise: Denoise, latents: Float64Array, levels: Float64Array) => Promise<Float64Array>,
  order: number,
][] = [
  ['ddim', (each, latents, levels) => ddimSampler(each, latents, { levels, eta: 0 }), 1],
  ['dpm-solver++', (each, latents, levels) => dpmSolverSampler(each, latents, { levels }), 2],
];

describe.each(samplers)('%s', (_, run, order) => {
  test(`is of order ${order} on Gaussian data`, async () => {
    const errorAt = async (steps: number): Promise<number> => {
      const [reached] = await run(denoise, Float64Array.of(1), positive(steps));
      return Math.abs(reached / (80 * exactFactor(s, 80, 0.002)) - 1);
    };
    const measured = await orderAt(128, errorAt);
    expect(measured).toBeGreaterThan(order - 0.1);
    expect(measured).toBeLessThan(order + 0.25);
  });

  test('costs one evaluation a step and ends with what the denoiser says', async () => {
    const counted = countEvaluations(denoise);
    let last = new Float64Array();
    const levels = edmNoiseLevels({ ...edm, steps: 9 });
    const samples = await run(
      async (x, sigma) => (last = Float64Array.from(await counted.denoise(x, sigma))),
      Float64Array.of(1, 2),
      levels,
    );
    expect(counted.evaluations).toBe(9);
    expect(samples).toEqual(last);
  });

  test('is exact for a point mass', async () => {
    // x = y + σ z on the way: every step keeps it so.
    const samples = await run(
      (x) => Promise.resolve(x.map(() => 0.3)),
      Float64Array.of(1, -2),
      edmNoiseLevels({ ...edm, steps: 9 }),
    );
    expectClose(samples, [0.3, 0.3], { absolute: 1e-12 });
  });

  test.each([
    ['rise', [1, 2]],
    ['are one', [1]],
    ['are not finite', [Infinity, 1]],
    ['are 0 before the end', [1, 0, 0]],
    ['are below 0', [1, -1]],
  ])('refuses levels that %s', async (_name, levels) => {
    await expect(run(denoise, Float64Array.of(1), Float64Array.from(levels))).rejects.toThrow(UsageError);
  });
});

test('two levels that are one after rounding do no harm to the second order', async () => {
  const levels = Float64Array.of(8, 2, 2, 1, 0.5, 0);
  const samples = await dpmSolverSampler(denoise, Float64Array.of(1), { levels });
  const without = await dpmSolverSampler(denoise, Float64Array.of(1), { levels: Float64Array.of(8, 2, 1, 0.5, 0) });
  // The step of no width leaves the samples; the next one is of first order, which moves them a little.
  expectClose(samples, without, { relative: 0.05 });
});

describe('eta', () => {
  test.each([0, 0.3, 1])('%s keeps the distribution of Gaussian data', async (eta) => {
    // In the limit of many steps the variance is s² for every eta; the error halves with twice the steps.
    const errorAt = async (steps: number): Promise<number> => {
      const levels = edmNoiseLevels({ ...edm, steps });
      const variance = await varianceOf(steps, (latents, noise) =>
        ddimSampler(denoise, latents, { levels, eta, noise }),
      );
      return Math.abs(variance / s ** 2 - 1);
    };
    // 2.3 % with eta 1.
    expect(await errorAt(512)).toBeLessThan(0.03);
    expect(await orderAt(256, errorAt)).toBeGreaterThan(0.9);
  });

  test('1 is the posterior of DDPM: exact for a Gaussian prior of the step before', async () => {
    // Given x at σ and x₀, the sample at σ' is normal with mean x₀ + (σ'/σ)² (x - x₀) and variance σ'² (1 - σ'²/σ²). With a
    // denoiser that knows x₀ the step must draw just that.
    const [x0, sigma, next] = [0.7, 3, 1.2];
    const [sample] = await ddimSampler(() => Promise.resolve(Float64Array.of(x0)), Float64Array.of(0.4), {
      levels: Float64Array.of(sigma, next),
      eta: 1,
      noise: () => Float64Array.of(-0.9),
    });
    const expected = x0 + (next / sigma) ** 2 * (0.4 * sigma - x0) - 0.9 * next * Math.sqrt(1 - (next / sigma) ** 2);
    expect(sample).toBeCloseTo(expected, 12);
  });

  test('is checked, and needs noise', async () => {
    const levels = edmNoiseLevels({ ...edm, steps: 4 });
    await expect(ddimSampler(denoise, Float64Array.of(1), { levels, eta: 2 })).rejects.toThrow(
      'eta must be from 0 to 1, got 2',
    );
    await expect(ddimSampler(denoise, Float64Array.of(1), { levels, eta: 0.5 })).rejects.toThrow(UsageError);
  });
});

test('at 20 steps DPM-Solver++ errs by much less than DDIM', async () => {
  const levels = discretizedLevels('edm', { ...edm, steps: 20, epsilonS: 1e-3, c1: 0.001, c2: 0.008, m: 1000 });
  const exact = 80 * exactFactor(s, 80, 0);
  const errors = await Promise.all(
    samplers.map(async ([, run]) => Math.abs((await run(denoise, Float64Array.of(1), levels))[0] / exact - 1)),
  );
  // 5 % and 14 %.
  expect(errors[1]).toBeLessThan(errors[0] / 2);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { countEvaluations, edmNoiseLevels, edmSampler } from '../../src/sampling/index.ts';
import type { Denoise } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';

const edm = { steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };

describe('noise levels', () => {
  test('run from sigmaMax to sigmaMin as Karras et al. 2022, Eq. 5, and end at 0', () => {
    const levels = edmNoiseLevels(edm);
    expect(levels).toHaveLength(19);
    // Powers of 1/7 and back: some ten roundings.
    expectClose([levels[0], levels[17] / 0.002], [80, 1], { relative: 1e-14 });
    expect(levels[18]).toBe(0);
    // Evenly spaced in sigma^(1/7), so the one in the middle of 3 is ((80^(1/7) + 0.002^(1/7)) / 2)^7.
    const middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7;
    expectClose([edmNoiseLevels({ ...edm, steps: 3 })[1]], [middle], { relative: 1e-14 });
    // rho = 1 is a straight line.
    expectClose(edmNoiseLevels({ steps: 5, sigmaMin: 1, sigmaMax: 9, rho: 1 }), [9, 7, 5, 3, 1, 0], {
      absolute: 1e-14,
    });
  });

  test('decrease, for any setting', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.double({ min: 1e-4, max: 1, noNaN: true }),
        fc.double({ min: 1.01, max: 1e4, noNaN: true }),
        fc.double({ min: 0.5, max: 20, noNaN: true }),
        (steps, sigmaMin, ratio, rho) => {
          const levels = edmNoiseLevels({ steps, sigmaMin, sigmaMax: sigmaMin * ratio, rho });
          for (let i = 0; i < steps; i++) expect(levels[i]).toBeGreaterThan(levels[i + 1]);
        },
      ),
    );
  });

  test('refuse what makes no sense', () => {
    const refused = (change: Partial<typeof edm>, message: string): void => {
      expect(() => edmNoiseLevels({ ...edm, ...change })).toThrow(UsageError);
      expect(() => edmNoiseLevels({ ...edm, ...change })).toThrow(message);
    };
    refused({ steps: 1 }, 'steps must be an integer of at least 2, got 1');
    refused({ steps: 2.5 }, 'got 2.5');
    refused({ sigmaMin: 80, sigmaMax: 0.002 }, 'got sigmaMin = 80 and sigmaMax = 0.002. Are they swapped?');
    refused({ sigmaMin: 0 }, 'sigmaMin must be above 0');
    refused({ sigmaMin: Number.NaN }, 'sigmaMin must be above 0');
    refused({ rho: 0 }, 'rho must be above 0, got 0');
  });
});

describe('Heun', () => {
  test('visits levels that the denoiser knows', async () => {
    const visited: number[] = [];
    const denoise: Denoise = (x, sigma) => {
      visited.push(sigma);
      return Promise.resolve(x.map(() => 0));
    };
    const options = { steps: 3, sigmaMin: 0.6, sigmaMax: 7.8, rho: 7, roundSigma: (sigma: number) => Math.ceil(sigma) };
    await edmSampler(denoise, Float64Array.of(1), options);
    // 7.8, about 2.4 and 0.6 rounded up; each but the first is visited from both sides, and the end is 0, as it is.
    expect(visited).toEqual([8, 3, 3, 1, 1]);
  });

  const s = 0.5;
  /** D(x; σ) of data N(0, s²). The probability-flow ODE ends at x(0) = x(σMax) s / sqrt(s² + σMax²). */
  const gaussian: Denoise = (x, sigma) => Promise.resolve(x.map((value) => (s * s * value) / (s * s + sigma * sigma)));
  const exact = (80 * s) / Math.hypot(s, 80);

  const errorAt = async (steps: number): Promise<number> =>
    Math.abs((await edmSampler(gaussian, Float64Array.of(1), { ...edm, steps }))[0] - exact);

  test('is of second order on Gaussian data', async () => {
    // The error falls by 4 when the steps double; the last Euler step leaves a relative error of 8e-6, too small to
    // disturb it here.
    const order = Math.log2((await errorAt(64)) / (await errorAt(128)));
    expect(order).toBeGreaterThan(1.9);
    expect(order).toBeLessThan(2.2);
  });

  test('a first-order denoiser of a point mass is exact: x = y + σ z goes straight to y', async () => {
    const samples = await edmSampler((x) => Promise.resolve(x.map(() => 0.3)), Float64Array.of(1, -2), edm);
    // Slopes are constant along the way, so every step is exact up to rounding of values up to 160.
    expectClose(samples, [0.3, 0.3], { absolute: 1e-12 });
  });

  test('costs 2 steps - 1 evaluations', async () => {
    for (const steps of [2, 5, 18]) {
      const counted = countEvaluations(gaussian);
      await edmSampler(counted.denoise, Float64Array.of(1), { ...edm, steps });
      expect(counted.evaluations).toBe(2 * steps - 1);
    }
  });

  test('visits the noise levels in order, tells of each step and leaves the latents alone', async () => {
    const levels = edmNoiseLevels({ ...edm, steps: 3 });
    const visited: number[] = [];
    const told: [number, number][] = [];
    const latents = Float64Array.of(1, 2);
    const samples = await edmSampler(
      (x, sigma) => {
        visited.push(sigma);
        return gaussian(x, sigma);
      },
      latents,
      { ...edm, steps: 3, onStep: ({ index, sigma }) => told.push([index, sigma]) },
    );
    expect(visited).toEqual([levels[0], levels[1], levels[1], levels[2], levels[2]]);
    expect(told).toEqual([
      [0, levels[1]],
      [1, levels[2]],
      [2, 0],
    ]);
    expect([...latents]).toEqual([1, 2]);
    // The ODE of Gaussian data is linear.
    expectClose([samples[1]], [2 * samples[0]], { relative: 1e-14 });
  });
});

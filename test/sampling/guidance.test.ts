import { describe, expect, test } from 'vitest';
import { countEvaluations, edmSampler, guided } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { mixtureDenoiser } from '../support/gaussian-mixture.ts';

describe('guidance', () => {
  const [a, b] = [0.5, -0.5];
  const conditional = mixtureDenoiser({ means: [a], weights: [1], deviation: 0.1 });
  const unconditional = mixtureDenoiser({ means: [a, b], weights: [0.5, 0.5], deviation: 0.1 });
  const x = Float64Array.of(0.3, -0.2, 0.05);

  test.each([
    [1, 1, 0],
    [0, 0, 1],
    [2.5, 1, 1],
  ])('of weight %s costs %s evaluations with the class and %s without', async (weight, told, untold) => {
    const counted = [countEvaluations(conditional), countEvaluations(unconditional)];
    await guided(counted[0].denoise, counted[1].denoise, weight)(x, 1);
    expect(counted.map(({ evaluations }) => evaluations)).toEqual([told, untold]);
  });

  test('is a line through both', async () => {
    const [told, untold] = [await conditional(x, 0.6), await unconditional(x, 0.6)];
    const denoised = await guided(conditional, unconditional, 3)(x, 0.6);
    expectClose(
      denoised,
      told.map((value, k) => 3 * value - 2 * untold[k]),
      { absolute: 1e-14 },
    );
  });

  test('moves samples away from the other class', async () => {
    // The score is that of p(x | a)^w / p(x)^(w - 1): for w = 1 the mean is a, above it is pushed on, away from b.
    const latents = Float64Array.from({ length: 21 }, (_, i) => (i - 10) / 5);
    const meanOf = async (weight: number): Promise<number> => {
      const options = { steps: 40, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
      const samples = await edmSampler(guided(conditional, unconditional, weight), latents, options);
      return samples.reduce((sum, value) => sum + value, 0) / samples.length;
    };
    const [plain, more] = [await meanOf(1), await meanOf(3)];
    expect(plain).toBeCloseTo(a, 2);
    expect(more).toBeGreaterThan(a + 0.02);
  });
});

import { describe, expect, test } from 'vitest';
import { ddpmProcess, edmProcess, flowProcess, subVpProcess, veProcess, vpProcess } from '../../src/diffusion/index.ts';
import type { Process } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import {
  countEvaluations,
  predictorCorrectorDefaults,
  predictorCorrectorSampler,
  samplerNoise,
  drawLatents,
} from '../../src/sampling/index.ts';
import type { PredictorCorrectorOptions } from '../../src/sampling/index.ts';
import { gaussianDenoiser, varianceOf } from '../support/gaussian-data.ts';

const s = 0.5;
const denoise = gaussianDenoiser(s);
const schedule = { betaMin: 0.1, betaD: 19.9 };
const ve = veProcess({ sigmaMin: 0.01, sigmaMax: 50 });
const vp = vpProcess(schedule);
const subVp = subVpProcess(schedule);
const base = { ...predictorCorrectorDefaults, sampleSize: 1, epsilon: 1e-3 };

/** |variance / s² - 1| of the sampler's distribution, exact. */
const errorOf =
  (options: Omit<PredictorCorrectorOptions, 'steps'>) =>
  async (steps: number): Promise<number> => {
    const variance = await varianceOf(steps * 3, (latents, noise) =>
      predictorCorrectorSampler(denoise, latents, { ...options, steps, noise }),
    );
    return Math.abs(variance / s ** 2 - 1);
  };

describe('the distribution of Gaussian data', () => {
  const cases: [name: string, process: Process, change: Partial<PredictorCorrectorOptions>][] = [
    ['reverse diffusion, VE', ve, { epsilon: 1e-5 }],
    ['reverse diffusion, VP', vp, {}],
    ['reverse diffusion, sub-VP', subVp, {}],
    ['Euler-Maruyama, VE', ve, { predictor: 'euler-maruyama', epsilon: 1e-5 }],
    ['Euler-Maruyama, VP', vp, { predictor: 'euler-maruyama' }],
    ['Euler-Maruyama, sub-VP', subVp, { predictor: 'euler-maruyama' }],
    ['ancestral, VE', ve, { predictor: 'ancestral', epsilon: 1e-5 }],
    ['ancestral, VP', vp, { predictor: 'ancestral' }],
    ['probability flow, VP', vp, { probabilityFlow: true }],
  ];

  test.each(cases)('%s', async (name, process, change) => {
    // Methods of first order: the error falls with the steps until what is left of the noise at epsilon shows. Measured at
    // 1600 steps: 0.05 % to 0.6 %, and 2.3 % for the probability flow. A factor of 2 in the score or the noise would cost
    // tens of per cent.
    const errorAt = errorOf({ ...base, corrector: 'none', process, ...change });
    const fine = await errorAt(1600);
    expect(fine).toBeLessThan(0.03);
    // Ancestral sampling of VP is right to 0.5 % from 100 steps on.
    expect(await errorAt(100)).toBeGreaterThan(name === 'ancestral, VP' ? 0 : 4 * fine);
  });

  test('the corrector brings samples nearer to it', async () => {
    const options = { ...base, process: ve, epsilon: 1e-5 };
    // 9.1 % and 4.7 %.
    const without = await errorOf({ ...options, corrector: 'none' })(100);
    const corrected = await errorOf({ ...options, corrector: 'annealed-langevin', snr: 0.16 })(100);
    expect(corrected).toBeLessThan(without / 1.7);
  });

  test('the corrector alone finds it, annealed slowly', async () => {
    // What Langevin steps have not yet forgotten of the larger noise before: 33 %, 15 % and 7 % at 100, 200 and 400 steps.
    const errorAt = errorOf({
      ...base,
      process: ve,
      epsilon: 1e-5,
      predictor: 'none',
      corrector: 'annealed-langevin',
      snr: 0.3,
      correctorSteps: 2,
    });
    expect(await errorAt(400)).toBeLessThan(0.08);
  });

  test("DDPM's discrete levels and EDM's time give it as well", async () => {
    const network = ddpmProcess(schedule, 400);
    expect(
      await errorOf({ ...base, process: vp, network, predictor: 'ancestral', corrector: 'none' })(400),
    ).toBeLessThan(0.05);
    const edm = edmProcess({ sigmaMin: 0.01, sigmaMax: 5 });
    const from = { ...base, process: edm, epsilon: 0.01, predictor: 'euler-maruyama', corrector: 'none' } as const;
    expect(await errorOf(from)(800)).toBeLessThan(0.05);
  });

  test.each(['sample', 'batch'] as const)(
    'Langevin steps with the norms of a %s: variance within its standard error',
    async (norms) => {
      // The step depends on the samples, so they are drawn: 20 of 1000 values.
      const [count, size] = [20, 1000];
      const seeds = Array.from({ length: count }, (_, i) => i);
      const samples = await predictorCorrectorSampler(denoise, drawLatents(seeds, [size]), {
        ...base,
        process: ve,
        epsilon: 1e-5,
        sampleSize: size,
        steps: 200,
        norms,
        noise: samplerNoise(seeds, [size]),
      });
      const variance = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
      // Standard error √(2 / 20,000) = 1 %, five of them; the discretization costs 2 % more.
      expect(Math.abs(variance / s ** 2 - 1)).toBeLessThan(0.07);
    },
  );
});

describe('what a step is', () => {
  test('the last one leaves its noise out, by default', async () => {
    const noise = (draw: number): Float64Array => Float64Array.of(Math.sin(draw + 1));
    const options = { ...base, process: vp, corrector: 'none' as const, steps: 50, noise };
    const means: number[] = [];
    const states: number[] = [];
    const run = (denoiseLast: boolean) =>
      predictorCorrectorSampler(denoise, Float64Array.of(0.3), {
        ...options,
        denoise: denoiseLast,
        onStep: ({ mean, state }) => {
          means.push(mean[0]);
          states.push(state[0]);
        },
      });
    const [mean] = await run(true);
    expect(mean).toBe(means[49]);
    expect((await run(false))[0]).toBe(states[49]);
    expect(means[49]).not.toBe(states[49]);
  });

  test('what is told in the end is what is returned', async () => {
    const noise = (draw: number): Float64Array => Float64Array.of(Math.sin(draw + 1));
    for (const denoiseLast of [true, false]) {
      const told: Float64Array[] = [];
      const samples = await predictorCorrectorSampler(denoise, Float64Array.of(0.3), {
        ...{ ...base, process: vp, corrector: 'none', steps: 50, noise, denoise: denoiseLast },
        onStep: ({ x }) => told.push(x),
      });
      expect(told[49]).toEqual(samples);
    }
  });

  test('a network of discrete steps is asked at its levels; the annealed corrector keeps those of the process', async () => {
    // One corrector step from x = 1 at t = 1 without noise: x + ε score, ε = 2 α (snr deviation)².
    const [steps, snr] = [50, 0.3];
    const network = ddpmProcess(schedule, steps);
    const asked: number[] = [];
    const corrected: number[] = [];
    await predictorCorrectorSampler(
      (x, sigma) => {
        asked.push(sigma);
        return Promise.resolve(x.map(() => 0));
      },
      Float64Array.of(1),
      {
        ...{ ...base, process: vp, network, steps, snr, predictor: 'none', corrector: 'annealed-langevin' },
        noise: () => Float64Array.of(0),
        onStep: (step) => corrected.push(step.corrected[0]),
      },
    );
    expect(asked[0]).toBe(network.sigma(1));
    const alpha = 1 - 20 / steps;
    const score = -1 / network.deviation(1) ** 2;
    expect(corrected[0]).toBeCloseTo(1 + 2 * alpha * (snr * vp.deviation(1)) ** 2 * score, 14);
    // At t = epsilon they differ most: 0.045 for the first discrete step, 0.010 for the process.
    const last = corrected[steps - 2];
    const gain = -2 * (1 - 0.1 / steps) * (snr * vp.deviation(1e-3)) ** 2;
    expect(corrected[steps - 1]).toBeCloseTo(last * (1 + gain / network.deviation(1e-3) ** 2), 14);
  });

  test('evaluations: one of the predictor and one of each corrector step', async () => {
    const costs = async (change: Partial<PredictorCorrectorOptions>): Promise<number> => {
      const counted = countEvaluations(denoise);
      const noise = () => Float64Array.of(0.1);
      await predictorCorrectorSampler(counted.denoise, Float64Array.of(1), {
        ...base,
        process: ve,
        steps: 10,
        noise,
        ...change,
      });
      return counted.evaluations;
    };
    expect(await costs({})).toBe(20);
    expect(await costs({ corrector: 'none' })).toBe(10);
    expect(await costs({ correctorSteps: 3 })).toBe(40);
    expect(await costs({ predictor: 'none', correctorSteps: 3 })).toBe(30);
  });

  test("norms of the batch tie samples together, those of a sample don't", async () => {
    const draw = (count: number, norms: 'sample' | 'batch') => {
      const seeds = Array.from({ length: count }, (_, i) => i);
      return predictorCorrectorSampler(denoise, drawLatents(seeds, [2]), {
        ...base,
        process: ve,
        sampleSize: 2,
        steps: 10,
        norms,
        noise: samplerNoise(seeds, [2]),
      });
    };
    expect((await draw(3, 'sample')).subarray(0, 2)).toEqual(await draw(1, 'sample'));
    expect((await draw(3, 'batch')).subarray(0, 2)).not.toEqual(await draw(1, 'batch'));
  });

  test.each<[Partial<PredictorCorrectorOptions>, string]>([
    [{ predictor: 'ancestral', process: subVp }, '"ancestral" is for the processes ve and vp'],
    [{ predictor: 'none', corrector: 'none' }, 'nothing would happen'],
    [{ steps: 0 }, 'steps must be an integer of at least 1, got 0'],
    [{ snr: 0 }, 'snr must be above 0, got 0'],
    [{ correctorSteps: 0 }, 'correctorSteps must be an integer of at least 1, got 0'],
    [{ epsilon: 1 }, 'epsilon must be above 0 and below 1, got 1'],
    [{ sampleSize: 3 }, 'sampleSize must divide the 2 values of the latents, got 3'],
    [{ probabilityFlow: true, predictor: 'ancestral' }, 'probabilityFlow needs the predictor'],
    [{ process: flowProcess({ epsilonT: 1e-3 }), steps: 1, noise: undefined } as never, 'these settings add noise'],
  ])('refuses %o', async (change, message) => {
    const noise = (): Float64Array => Float64Array.of(1, 2);
    const run = predictorCorrectorSampler(denoise, Float64Array.of(1, 2), {
      ...base,
      process: ve,
      steps: 10,
      noise,
      ...change,
    });
    await expect(run).rejects.toThrow(UsageError);
    await expect(run).rejects.toThrow(message);
  });
});

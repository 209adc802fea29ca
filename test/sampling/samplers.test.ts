import { describe, expect, test } from 'vitest';
import type { PreconditioningConfig } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import {
  countEvaluations,
  generateWith,
  runSampler,
  samplerByName,
  samplerEvaluations,
  samplerKinds,
  samplerNoise,
  samplers,
} from '../../src/sampling/index.ts';
import type { CompiledDenoiser, SamplerChoices, SamplerConfig, SamplerKind } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { mixtureDenoiser } from '../support/gaussian-mixture.ts';

const vp: PreconditioningConfig = { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 };
const edm = {
  range: { min: 0, max: Infinity },
  preconditioning: { kind: 'edm', sigmaData: 0.5 },
  sampleSize: 2,
} as const;
const denoise = mixtureDenoiser({ means: [0.5, 0.5, -0.5, 0.2], weights: [0.4, 0.6], deviation: 0.2 });

/** A denoiser with a closed form in the place of a compiled one. */
function closedForm(batch: number): CompiledDenoiser {
  const counted = countEvaluations(denoise);
  return {
    batch,
    sampleSize: 2,
    sigmaRange: edm.range,
    roundSigma: (sigma) => sigma,
    get evaluations() {
      return counted.evaluations;
    },
    denoise: (x, sigma) => counted.denoise(x, sigma),
    release: () => Promise.resolve(),
  };
}

/** Every sampler with noise in it, where it can have any. */
const cases: [name: SamplerKind, choices: SamplerChoices][] = [
  ['edm', { steps: 6, sChurn: 10 }],
  ['ablation', { steps: 6, solver: 'euler', schedule: 'vp', scaling: 'vp', discretization: 'vp', sChurn: 10 }],
  ['predictor-corrector', { steps: 6, corrector: 'langevin' }],
  ['predictor-corrector', { steps: 6, predictor: 'ancestral', corrector: 'none' }],
  ['predictor-corrector', { steps: 6, predictor: 'none', corrector: 'annealed-langevin', correctorSteps: 2 }],
  ['ddim', { steps: 6, eta: 0.7 }],
  ['dpm-solver++', { steps: 6 }],
];

describe.each(cases)('%s %o', (name, choices) => {
  const config = samplerByName(name, choices, edm);

  test('costs what it says', async () => {
    const counted = countEvaluations(denoise);
    await runSampler(counted.denoise, Float64Array.of(1, -1), config, { sampleSize: 2, noise: samplerNoise([3], [2]) });
    expect(samplerEvaluations(config)).toBe(counted.evaluations);
  });

  test('draws the same sample of a seed whatever the others and the batch', async () => {
    const seeds = [4, 17, 0, 8, 15];
    const all = await generateWith(closedForm(5), [2], seeds, config);
    for (const batch of [1, 2, 3]) expect(await generateWith(closedForm(batch), [2], seeds, config)).toEqual(all);
    expect(await generateWith(closedForm(2), [2], [8, 17], config)).toEqual(
      Float32Array.of(...all.subarray(6, 8), ...all.subarray(2, 4)),
    );
  });

  test('tells of its steps and progress', async () => {
    const told: [number, readonly number[]][] = [];
    const progress: number[] = [];
    await generateWith(closedForm(2), [2], [1, 2, 3], {
      ...config,
      onStep: ({ index, x, denoised }, seeds) => {
        told.push([index, seeds]);
        expect([x.length, denoised.length]).toEqual([2 * seeds.length, 2 * seeds.length]);
      },
      onProgress: ({ samplesDone }) => progress.push(samplesDone),
    });
    expect(told.map(([index]) => index)).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
    expect(told[5][1]).toEqual([1, 2]);
    expect(told[11][1]).toEqual([3]);
    expect(progress[5]).toBe(2);
    expect(progress[11]).toBe(3);
  });
});

test('rk45 keeps a sample within its tolerance whatever the batch', async () => {
  const config = samplerByName('rk45', {}, edm);
  expect(samplerEvaluations(config)).toBeUndefined();
  const together = await generateWith(closedForm(3), [2], [1, 2, 3], config);
  const alone = await generateWith(closedForm(1), [2], [1, 2, 3], config);
  // Steps held to 1e-5, some twenty of them, in a flow that parts the two components.
  expectClose(together, alone, { absolute: 1e-3 });
});

describe('by name', () => {
  test('every sampler has a summary, options and defaults that it can run with', () => {
    for (const kind of samplerKinds) {
      const config = samplerByName(kind, {}, edm);
      expect(config.kind).toBe(kind);
      expect(samplers[kind].summary.length).toBeGreaterThan(20);
    }
  });

  test('the defaults are those of the literature', () => {
    expect(samplerByName('edm', {}, edm)).toEqual({ kind: 'edm', steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7 });
    const pc = samplerByName('predictor-corrector', {}, { ...edm, sampleSize: 3072 });
    expect(pc).toMatchObject({
      steps: 1000,
      predictor: 'reverse-diffusion',
      corrector: 'langevin',
      snr: 0.16,
      epsilon: 1e-5,
    });
    expect(samplerEvaluations(pc)).toBe(2000);
    expect(samplerByName('rk45', {}, edm)).toMatchObject({ rtol: 1e-5, atol: 1e-5, denoise: false });
    const range = { min: 1e-3, max: 152 };
    expect(samplerByName('predictor-corrector', {}, { range, preconditioning: vp, sampleSize: 2 })).toMatchObject({
      process: vp,
      corrector: 'none',
      epsilon: 1e-3,
    });
  });

  test('the sampler stays within the noise levels of the network', () => {
    const network = { ...edm, range: { min: 0.02, max: 50 } };
    expect(samplerByName('edm', {}, network)).toMatchObject({ sigmaMin: 0.02, sigmaMax: 50 });
    expect(samplerByName('rk45', { sigmaMin: 0.001 }, network)).toMatchObject({
      process: { kind: 've', sigmaMin: 0.02, sigmaMax: 50 },
    });
  });

  test('an option that is undefined is left out', () => {
    const choices: Record<string, undefined> = { steps: undefined, snr: undefined };
    expect(samplerByName('ddim', choices as SamplerChoices, edm)).toMatchObject({ steps: 50, eta: 0 });
  });

  test.each<[string, SamplerChoices, string]>([
    [
      'euler',
      {},
      'sampler: unknown value "euler". Choose one of: edm, ablation, predictor-corrector, rk45, ddim, dpm-solver++.',
    ],
    ['ddim', { snr: 0.1 }, 'sampler "ddim" has no option snr. It has: steps, sigmaMin, sigmaMax, rho, eta.'],
    ['edm', { sigmaMin: 80, sigmaMax: 0.002 }, 'got sigmaMin = 80 and sigmaMax = 0.002. Are they swapped?'],
    ['rk45', { sigmaMin: 80, sigmaMax: 0.002 }, 'Are they swapped?'],
    ['rk45', { process: vp, sigmaMin: 1 }, 'sigmaMin and sigmaMax are for the process ve'],
  ])('%s %o is refused', (name, choices, message) => {
    expect(() => samplerByName(name, choices, edm)).toThrow(UsageError);
    expect(() => samplerByName(name, choices, edm)).toThrow(message);
  });
});

test('generateWith takes the options of EDM without a name, as before', async () => {
  const levels = { steps: 6, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
  const named: SamplerConfig = { kind: 'edm', ...levels };
  expect(await generateWith(closedForm(2), [2], [1, 2], levels)).toEqual(
    await generateWith(closedForm(2), [2], [1, 2], named),
  );
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  iddpmNoiseLevels,
  lossWeight,
  makeDenoiser,
  preconditioning,
  preconditioningForPyTorch,
  preconditioningFromPyTorch,
  roundSigma,
  sigmaRange,
  tensorArithmetic,
  vpProcess,
} from '../../src/diffusion/index.ts';
import type { PreconditioningConfig } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import { constant, evaluate, input } from '../../src/graph/index.ts';
import { fromFlat, parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { formulations } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';

const { vp, ve, iddpm, edm } = Object.fromEntries(
  Object.entries(formulations).map(([kind, each]) => [kind, each.preconditioning]),
) as { [K in Exclude<PreconditioningConfig['kind'], 'process'>]: Extract<PreconditioningConfig, { kind: K }> };
/** Some ten roundings of float64. */
const rounding = { relative: 4e-15 };

function coefficients(config: PreconditioningConfig, levels: readonly number[]) {
  const sigma = constant(levels, [levels.length], 'float64');
  const { cSkip, cOut, cIn, cNoise } = preconditioning(config, sigma);
  const found = evaluate([cSkip, cOut, cIn, cNoise, lossWeight(config, sigma)]).map(({ data }) => data);
  return levels.map((level, i) => ({
    sigma: level,
    cSkip: found[0][i],
    cOut: found[1][i],
    cIn: found[2][i],
    cNoise: found[3][i],
    weight: found[4][i],
  }));
}

/** Noise levels of every size. */
const anyLevel = fc.double({ min: -9, max: 9, noNaN: true }).map(Math.exp);

describe('VP, VE and iDDPM', () => {
  test('a network that predicts the noise gives the clean sample; the loss is its squared error', () => {
    fc.assert(
      fc.property(anyLevel, fc.constantFrom(vp, ve, iddpm), (level, config) => {
        const [{ sigma, cSkip, cOut, weight }] = coefficients(config, [level]);
        const [clean, noise] = [0.7, -1.3];
        // VE's network predicts minus the noise.
        const output = config.kind === 've' ? -noise : noise;
        expectClose([cSkip * (clean + sigma * noise) + cOut * output], [clean], {
          absolute: 4e-16 * (1 + sigma * 1.3),
        });
        expectClose([weight * cOut ** 2], [1], rounding);
      }),
    );
  });

  test('VP and iDDPM: data of unit variance enter the network with unit variance; VE: as they are', () => {
    fc.assert(
      fc.property(anyLevel, (sigma) => {
        for (const config of [vp, iddpm]) {
          const [{ cIn }] = coefficients(config, [sigma]);
          expectClose([cIn ** 2 * (1 + sigma ** 2)], [1], rounding, config.kind);
        }
        expect(coefficients(ve, [sigma])[0].cIn).toBe(1);
      }),
    );
  });

  test('VP tells the network 999 t, VE ln(σ / 2)', () => {
    fc.assert(
      fc.property(anyLevel, (sigma) => {
        expectClose([coefficients(vp, [sigma])[0].cNoise], [999 * vpProcess(vp).time(sigma)], rounding);
        expectClose([coefficients(ve, [sigma])[0].cNoise], [Math.log(sigma / 2)], { ...rounding, absolute: 4e-16 });
      }),
    );
    // At the time t the label is 999 t: from t over σ and back.
    expectClose([coefficients(vp, [vpProcess(vp).sigma(0.25)])[0].cNoise], [999 * 0.25], rounding);
    expect(coefficients(ve, [2])[0].cNoise).toBe(0);
  });

  test('VP: the label keeps its digits in float32, where ln(1 + σ²) would be off by 5 % at σ = 0.001', async () => {
    const levels = Float32Array.of(1e-4, 1e-3, 0.01, 0.3, 1, 7, 152);
    const { cNoise } = preconditioning(vp, input('sigma', [levels.length]));
    const program = await nodeRuntime({ threads: 1 }).compile({ name: 'label', outputs: { cNoise } });
    const result = (await program.run({ sigma: levels })).cNoise as Float32Array;
    await program.release();
    // A dozen operations, each a rounding of 2^-24 of what it gives.
    levels.forEach((sigma, i) =>
      expectClose([result[i]], [999 * vpProcess(vp).time(sigma)], { relative: 12 * 2 ** -24 }, `sigma ${sigma}`),
    );
  });

  test('ln(1 + x) of a graph: from the smallest float32 to the largest', async () => {
    const x = Float32Array.of(0, 2e-38, 1e-7, 1, 1e20, 4e36, 1e37, 3e38);
    const given = input('x', [x.length]);
    const program = await nodeRuntime({ threads: 1 }).compile({
      name: 'log1p',
      outputs: { result: tensorArithmetic(given).log1p(given) },
    });
    const result = (await program.run({ x })).result as Float32Array;
    await program.release();
    // A sum, a difference, a quotient, a logarithm and a product: five roundings.
    x.forEach((value, i) => expectClose([result[i]], [Math.log1p(value)], { relative: 5 * 2 ** -24 }, `x = ${value}`));
  });

  test('iDDPM tells the network the step whose noise level is nearest, counted from low noise', () => {
    const levels = iddpmNoiseLevels(iddpm);
    const nearest = (sigma: number): number => {
      const distances = Array.from(levels, (level) => Math.abs(sigma - level));
      return distances.indexOf(Math.min(...distances));
    };
    fc.assert(
      fc.property(fc.array(anyLevel, { minLength: 1, maxLength: 4 }), (some) => {
        const found = coefficients(iddpm, some).map(({ cNoise }) => cNoise);
        expect(found).toEqual(some.map((sigma) => 999 - nearest(sigma)));
      }),
    );
    const steps = [0, 1, 500, 998, 999];
    const atLevels = coefficients(
      iddpm,
      steps.map((j) => levels[j]),
    );
    expect(atLevels.map(({ cNoise }) => cNoise)).toEqual([999, 998, 499, 1, 0]);
  });

  test('rounding: iDDPM moves to the nearest of its levels, all others leave a level alone', () => {
    const levels = iddpmNoiseLevels(iddpm);
    fc.assert(
      fc.property(anyLevel, (sigma) => {
        for (const config of [edm, vp, ve]) expect(roundSigma(config, sigma)).toBe(sigma);
        const rounded = roundSigma(iddpm, sigma);
        expect(Math.abs(rounded - sigma)).toBe(Math.min(...levels.map((level) => Math.abs(level - sigma))));
        expect(roundSigma(iddpm, rounded)).toBe(rounded);
      }),
    );
  });

  test('ranges of noise levels', () => {
    expect(sigmaRange(edm)).toEqual({ min: 0, max: Infinity });
    expect(sigmaRange(ve)).toEqual({ min: 0.02, max: 100 });
    // σ² = e^B - 1 = B + B² / 2 with B = 19.9 / 2 · 1e-10 + 0.1 · 1e-5, and ln(1 + σ²) = 19.9 / 2 + 0.1.
    const { min, max } = sigmaRange(vp);
    const least = 1.000995e-6;
    expectClose([min ** 2, Math.log1p(max ** 2)], [least + least ** 2 / 2, 10.05], rounding);
    const levels = iddpmNoiseLevels(iddpm);
    expect(sigmaRange(iddpm)).toEqual({ min: levels[999], max: levels[0] });
  });

  test.each([vp, ve, iddpm])(
    '$kind: a denoiser is made of a network of any kind; with F = 0 it is the identity',
    (config) => {
      const denoiserConfig = {
        network: { kind: 'mlp', sampleShape: [2], width: 4, blocks: 1, labelDim: 0, labelDropout: 0, dropout: 0 },
        preconditioning: config,
      } as const;
      const table = parameterTable((source) => makeDenoiser(source, denoiserConfig));
      const { source } = fromFlat(table, constant(0, [table.size]));
      const x = input('x', [2, 2]);
      const denoised = makeDenoiser(source, denoiserConfig)(x, constant([0.3, 5]));
      const [{ data }] = evaluate([denoised], new Map([[x, Float64Array.of(1, -2, 3, 4)]]));
      expect([...data]).toEqual([1, -2, 3, 4]);
    },
  );
});

describe('arguments of a PyTorch checkpoint', () => {
  test('what was left out has the defaults of the reference', () => {
    expect(preconditioningFromPyTorch('EDMPrecond', {})).toEqual(edm);
    expect(preconditioningFromPyTorch('VPPrecond', { model_type: 'SongUNet' })).toEqual(vp);
    expect(preconditioningFromPyTorch('VEPrecond', {})).toEqual(ve);
    expect(preconditioningFromPyTorch('iDDPMPrecond', {})).toEqual(iddpm);
    expect(preconditioningFromPyTorch('VPPrecond', { beta_d: 10, beta_min: 0.5, M: 500, epsilon_t: 0.001 })).toEqual({
      kind: 'vp',
      betaD: 10,
      betaMin: 0.5,
      steps: 500,
      epsilonT: 0.001,
    });
  });

  test('what the reference has no class for is refused', () => {
    expect(() => preconditioningForPyTorch(formulations.flow.preconditioning)).toThrow(
      'the official code has no class for velocity networks of the process flow.',
    );
  });

  test('anything else is refused by name', () => {
    expect(() => preconditioningFromPyTorch('toString', {})).toThrow(UsageError);
    expect(() => preconditioningFromPyTorch('VEPrecond', { sigma_max: 'all' })).toThrow(
      'VEPrecond: argument "sigma_max" must be a number from 1e-18 to 1e18, got "all".',
    );
    expect(() => preconditioningFromPyTorch('VPPrecond', { M: 2.5 })).toThrow(
      '"M" must be an integer of at most 100000, got 2.5',
    );
    expect(() => preconditioningFromPyTorch('VEPrecond', { sigma_min: 0 })).toThrow(
      '"sigma_min" must be a number from',
    );
    expect(preconditioningFromPyTorch('iDDPMPrecond', { C_2: 0 })).toMatchObject({ c2: 0 });
  });
});

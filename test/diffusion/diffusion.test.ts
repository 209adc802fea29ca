import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  drawNoiseLevel,
  lossWeight,
  makeDenoiser,
  noiseLevelFrom,
  perSample,
  preconditioning,
} from '../../src/diffusion/index.ts';
import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { constant, evaluate, input, square } from '../../src/graph/index.ts';
import { fromFlat, parameterTable } from '../../src/nn/index.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';
import { mean, standardDeviation } from '../../src/numerics/statistics.ts';
import { expectClose } from '../support/compare.ts';

const config = { kind: 'edm', sigmaData: 0.5 } as const;
const sigmas = [0.002, 0.1, 0.5, 1, 7, 80];

function coefficients(levels: readonly number[], sigmaData = 0.5) {
  const sigma = constant(levels, [levels.length], 'float64');
  const { cSkip, cOut, cIn, cNoise } = preconditioning({ kind: 'edm', sigmaData }, sigma);
  const weight = lossWeight({ kind: 'edm', sigmaData }, sigma);
  const [skip, out, into, noise, lambda] = evaluate([cSkip, cOut, cIn, cNoise, weight]).map(({ data }) => [...data]);
  return levels.map((level, i) => ({
    sigma: level,
    cSkip: skip[i],
    cOut: out[i],
    cIn: into[i],
    cNoise: noise[i],
    weight: lambda[i],
  }));
}

/** Some ten roundings of 2^-53 each. */
const rounding = { relative: 2e-15 };

describe('EDM preconditioning', () => {
  test('is the closed form of Karras et al. 2022, Table 1', () => {
    for (const { sigma, cSkip, cOut, cIn, cNoise, weight } of coefficients(sigmas)) {
      const total = Math.hypot(sigma, 0.5);
      expectClose([cSkip], [(0.5 / total) ** 2], rounding, 'cSkip');
      expectClose([cOut], [(0.5 * sigma) / total], rounding, 'cOut');
      expectClose([cIn], [1 / total], rounding, 'cIn');
      expectClose([cNoise], [Math.log(sigma) / 4], rounding, 'cNoise');
      expectClose([weight], [(total / (0.5 * sigma)) ** 2], rounding, 'weight');
    }
  });

  test('has the properties it was derived from (appendix B.6), for any sigma and sigmaData', () => {
    const level = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
    fc.assert(
      fc.property(level, level, (sigma, sigmaData) => {
        const [{ cSkip, cOut, cIn, weight }] = coefficients([sigma], sigmaData);
        // Network input cIn (y + n) of unit variance.
        expectClose([cIn ** 2 * (sigmaData ** 2 + sigma ** 2)], [1], rounding);
        // Training target (y - cSkip (y + n)) / cOut of unit variance. 1 - cSkip cancels where sigma is small beside
        // sigmaData: there the equation is compared after multiplying with cOut², to sigmaData² roundings.
        const variance = (1 - cSkip) ** 2 * sigmaData ** 2 + cSkip ** 2 * sigma ** 2;
        expectClose([variance], [cOut ** 2], {
          absolute: 4e-15 * Math.min(sigmaData ** 2, sigma ** 2) + 1e-31 * sigmaData ** 2,
        });
        // Equal effective weight at every level.
        expectClose([weight * cOut ** 2], [1], { relative: 4e-15 });
        // cSkip minimises the variance of the target: its derivative by cSkip vanishes.
        expectClose([cSkip * sigma ** 2], [(1 - cSkip) * sigmaData ** 2], {
          absolute: 4e-15 * sigmaData ** 2,
        });
      }),
    );
  });

  test('with F = 0 the denoiser is the best linear one: the posterior mean of Gaussian data', () => {
    const denoiserConfig: DenoiserConfig = {
      network: { kind: 'mlp', sampleShape: [2], width: 4, blocks: 1, labelDim: 0, labelDropout: 0, dropout: 0 },
      preconditioning: config,
    };
    const table = parameterTable((source) => makeDenoiser(source, denoiserConfig));
    expect(table.specs.every(({ name }) => name.startsWith('model.'))).toBe(true);
    const { source } = fromFlat(table, constant(0, [table.size]));
    const x = input('x', [2, 2]);
    const denoised = makeDenoiser(source, denoiserConfig)(x, constant([0.3, 5]));
    const [{ data }] = evaluate([denoised], new Map([[x, Float64Array.of(1, -2, 3, 4)]]));
    // E[y | y + n = x] = s² x / (s² + σ²) for y ~ N(0, s²). Sigma is a float32 constant: 0.3 is off by 2^-26.
    const factor = (sigma: number): number => 0.25 / (0.25 + Math.fround(sigma) ** 2);
    expectClose(data, [factor(0.3), -2 * factor(0.3), 3 * factor(5), 4 * factor(5)], rounding);
  });

  test('Gaussian data, by Monte Carlo: the expected loss of F = 0 is 1 at every noise level', () => {
    const n = 20_000;
    const draws = new Float64Array(2 * n);
    fillNormal(draws, { seed: 11, stream: streams.evaluation, step: 0, sample: 0 });
    for (const { sigma, cSkip, weight } of coefficients([0.01, 0.4, 30])) {
      const losses = Float64Array.from({ length: n }, (_, i) => {
        const [clean, noise] = [0.5 * draws[2 * i], sigma * draws[2 * i + 1]];
        return weight * (cSkip * (clean + noise) - clean) ** 2;
      });
      // A squared unit normal has variance 2; five standard errors fail for less than 1 seed in a million.
      expect(Math.abs(mean(losses) - 1), `sigma ${sigma}`).toBeLessThan(5 * Math.sqrt(2 / n));
    }
  });

  test('perSample spreads a coefficient over samples of any shape', () => {
    const sigma = constant([2, 3], [2], 'float64');
    expect(perSample(sigma, input('x', [2, 3, 4, 4])).shape).toEqual([2, 1, 1, 1]);
    expect(perSample(square(sigma), input('x', [2])).shape).toEqual([2]);
  });
});

describe('noise levels', () => {
  const law = { kind: 'log-normal', pMean: -1.2, pStd: 1.2 } as const;

  test('exp(pMean + pStd z)', () => {
    expect(noiseLevelFrom(law, 0)).toBe(Math.exp(-1.2));
    expect(noiseLevelFrom(law, -1)).toBe(Math.exp(-1.2 - 1.2));
  });

  test('are log-normal, over the samples of a step and over steps', () => {
    const n = 20_000;
    for (const address of [
      (i: number) => ({ seed: 1, step: 7, sample: i }),
      (i: number) => ({ seed: 1, step: i, sample: 7 }),
    ]) {
      const logs = Float64Array.from({ length: n }, (_, i) => Math.log(drawNoiseLevel(law, address(i))));
      // Standard errors: pStd / sqrt(n) of the mean, pStd / sqrt(2 n) of the deviation, sqrt(24 / n) of the kurtosis.
      expect(Math.abs(mean(logs) + 1.2)).toBeLessThan((5 * 1.2) / Math.sqrt(n));
      expect(Math.abs(standardDeviation(logs) - 1.2)).toBeLessThan((5 * 1.2) / Math.sqrt(2 * n));
      const kurtosis = mean(logs.map((each) => ((each + 1.2) / 1.2) ** 4));
      expect(Math.abs(kurtosis - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    }
  });

  test('are a function of seed, step and sample', () => {
    const at = { seed: 3, step: 5, sample: 9 };
    const level = drawNoiseLevel(law, at);
    expect(drawNoiseLevel(law, at)).toBe(level);
    for (const other of [
      { ...at, seed: 4 },
      { ...at, step: 6 },
      { ...at, sample: 10 },
    ])
      expect(drawNoiseLevel(law, other)).not.toBe(level);
  });
});

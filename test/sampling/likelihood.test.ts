import { describe, expect, test } from 'vitest';
import { edmProcess, makeDenoiser, subVpProcess, veProcess, vpProcess } from '../../src/diffusion/index.ts';
import type { DenoiserConfig, Process } from '../../src/diffusion/index.ts';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { ddpmpp } from '../../src/networks/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { bitsPerDimension, compileJacobian, drawProbes, logLikelihood, probeKinds } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { mixtureJacobian, mixtureLogDensity } from '../support/gaussian-mixture.ts';
import type { GaussianMixture } from '../support/gaussian-mixture.ts';
import { testValues } from '../support/random.ts';

const schedule = { betaMin: 0.1, betaD: 19.9 };
const processes: [name: string, process: Process][] = [
  ['VE', veProcess({ sigmaMin: 0.01, sigmaMax: 50 })],
  ['VP', vpProcess(schedule)],
  ['sub-VP', subVpProcess(schedule)],
  ['EDM', edmProcess({ sigmaMin: 0.002, sigmaMax: 80 })],
];
const epsilonOf = (process: Process): number => Math.max(process.range.min, 1e-5);

/** log p of the mixture's noisy samples at a time of the process. */
function exactLogDensity(
  mixture: GaussianMixture,
  process: Process,
  data: Float64Array,
  size: number,
  t = epsilonOf(process),
): Float64Array {
  const noisy = { scale: process.scale(t), deviation: process.deviation(t) };
  return Float64Array.from({ length: data.length / size }, (_, i) =>
    mixtureLogDensity(mixture, data.subarray(i * size, (i + 1) * size), noisy),
  );
}

describe.each(processes)('%s', (_, process) => {
  test('bits per dimension of a Gaussian are its closed form', async () => {
    const size = 3;
    const gaussian: GaussianMixture = { means: [0, 0, 0], weights: [1], deviation: 0.3 };
    const data = testValues(4 * size, [-0.9, 0.9]);
    // The Jacobian is a multiple of the unit matrix, of which one Rademacher probe gives the trace.
    const probes = drawProbes('rademacher', 4, size, { seed: 3 });
    const { logDensity } = await logLikelihood(mixtureJacobian(gaussian), data, { process, sampleSize: size, probes });
    const bits = (values: Float64Array): Float64Array => bitsPerDimension(values, size, 128);
    // Steps held to 1e-5, and a prior that is not quite the distribution at the end: variances differ by (0.3 / 50)² for VE.
    expectClose(bits(logDensity), bits(exactLogDensity(gaussian, process, data, size)), { absolute: 1e-3 });
  });

  test('the change of log p of a mixture, by the exact trace, is that of its closed forms at both ends', async () => {
    const mixture: GaussianMixture = {
      means: [0.5, 0.5, -0.5, 0.2, 0, -0.6],
      weights: [0.5, 0.3, 0.2],
      deviation: 0.15,
    };
    const data = testValues(12, [-0.7, 0.7]);
    const { logDensity, prior, change, latents } = await logLikelihood(mixtureJacobian(mixture), data, {
      process,
      sampleSize: 2,
      probes: 'exact',
      rtol: 1e-7,
      atol: 1e-7,
    });
    const before = exactLogDensity(mixture, process, data, 2);
    const after = exactLogDensity(mixture, process, latents, 2, process.range.max);
    // Steps held to 1e-7; points between the components have densities of e^-20, where errors of x weigh a hundredfold.
    expectClose(
      change,
      before.map((value, i) => value - after[i]),
      { absolute: 1e-4 },
    );
    expectClose(
      logDensity,
      prior.map((value, i) => value + change[i]),
      { absolute: 0 },
    );
  });
});

test.each(probeKinds)('%s probes estimate without bias', async (kind) => {
  const mixture: GaussianMixture = { means: [0.5, 0.5, -0.5, 0.2, 0, -0.6], weights: [0.5, 0.3, 0.2], deviation: 0.15 };
  const [, process] = processes[1];
  const count = 200;
  // The same point again and again, with probes of its own each time.
  const data = Float64Array.from({ length: 2 * count }, (_, i) => [0.3, 0.1][i % 2]);
  const probes = drawProbes(kind, count, 2, { seed: 5 });
  const { logDensity } = await logLikelihood(mixtureJacobian(mixture), data, { process, sampleSize: 2, probes });
  const mean = logDensity.reduce((sum, value) => sum + value, 0) / count;
  const variance = logDensity.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const [exact] = exactLogDensity(mixture, process, data.subarray(0, 2), 2);
  // Five standard errors of the mean. The prior has another mean than the noisy data at the end, by e^-5 of the mixture's:
  // 2e-3.
  expect(Math.abs(mean - exact)).toBeLessThan(5 * Math.sqrt(variance / count) + 5e-3);
});

describe('probes', () => {
  test.each(probeKinds)('%s have mean 0, variance 1, and depend on the sample alone', (kind) => {
    const many = drawProbes(kind, 2000, 5, { seed: 1 });
    const mean = many.reduce((sum, value) => sum + value, 0) / many.length;
    const square = many.reduce((sum, value) => sum + value * value, 0) / many.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(many.length));
    expect(Math.abs(square - 1)).toBeLessThan(5 * Math.sqrt(2 / many.length));
    expect(drawProbes(kind, 3, 5, { seed: 1 })).toEqual(many.slice(0, 15));
    expect(drawProbes(kind, 3, 5, { seed: 1, estimate: 1 })).not.toEqual(many.slice(0, 15));
  });

  test('Rademacher ones are 1 and -1', () => {
    expect(new Set(drawProbes('rademacher', 10, 10, { seed: 1 }))).toEqual(new Set([1, -1]));
  });
});

test('what does not fit together is refused', async () => {
  const denoise = mixtureJacobian({ means: [0, 0], weights: [1], deviation: 1 });
  const options = { process: processes[0][1], sampleSize: 2, probes: 'exact' } as const;
  await expect(logLikelihood(denoise, new Float64Array(3), options)).rejects.toThrow(ShapeError);
  await expect(
    logLikelihood(denoise, new Float64Array(2), { ...options, probes: new Float64Array(4) }),
  ).rejects.toThrow(ShapeError);
  await expect(logLikelihood(denoise, new Float64Array(2), { ...options, epsilon: 2 })).rejects.toThrow(UsageError);
});

describe('a compiled Jacobian', () => {
  const runtime = nodeRuntime({ threads: 1 });
  const config: DenoiserConfig = {
    network: { kind: 'mlp', sampleShape: [3], width: 16, blocks: 1, labelDim: 0, labelDropout: 0, dropout: 0 },
    preconditioning: { kind: 'edm', sigmaData: 0.5 },
  };
  const table = parameterTable((source) => makeDenoiser(source, config));
  const weights = initialize(table, 4).map((value, i) => value + 0.1 * Math.sin(1.7 * i));

  test('gives products that central differences confirm, for a batch that is not full', async () => {
    const jacobian = await compileJacobian(runtime, config, { batch: 4, weights });
    const { evaluate } = jacobian;
    const [x, v, w] = [1, 2, 3].map((seed) => testValues(6, [-1, 1], seed));
    const { product, denoised } = await evaluate(x, 0.7, v);
    // v · J · w by differences of v · D along w. Float32: rounding 1e-7 / h and curvature h² meet at h = 5e-3, some 1e-4.
    const h = 5e-3;
    const along = async (sign: number): Promise<Float64Array> =>
      (
        await evaluate(
          x.map((value, i) => value + sign * h * w[i]),
          0.7,
          v,
        )
      ).denoised;
    const [ahead, behind] = [await along(1), await along(-1)];
    for (const sample of [0, 1]) {
      const range = [0, 1, 2].map((k) => 3 * sample + k);
      const differences = range.reduce((sum, i) => sum + (v[i] * (ahead[i] - behind[i])) / (2 * h), 0);
      expect(range.reduce((sum, i) => sum + product[i] * w[i], 0)).toBeCloseTo(differences, 3);
    }
    expect(denoised).toHaveLength(6);
    await expect(evaluate(x, 0.7, new Float64Array(3))).rejects.toThrow(UsageError);
    await jacobian.release();
  });

  test('of a U-Net, too, with attention and every way to resample', async () => {
    const unet: DenoiserConfig = {
      network: {
        ...ddpmpp,
        resolution: 8,
        modelChannels: 8,
        channelMult: [1, 2],
        blocks: 1,
        attentionResolutions: [4],
        dropout: 0,
      },
      preconditioning: { kind: 'edm', sigmaData: 0.5 },
    };
    const parameters = parameterTable((source) => makeDenoiser(source, unet));
    const own = initialize(parameters, 4).map((value, i) => value + 0.05 * Math.sin(1.7 * i));
    const jacobian = await compileJacobian(runtime, unet, { batch: 1, weights: own });
    const [x, v, w] = [1, 2, 3].map((seed) => testValues(192, [-1, 1], seed));
    const { product } = await jacobian.evaluate(x, 0.7, v);
    // As above, and relative to the product's size: 192 terms of about 1.
    const h = 1e-2;
    const along = async (sign: number): Promise<Float64Array> =>
      (
        await jacobian.evaluate(
          x.map((value, i) => value + sign * h * w[i]),
          0.7,
          v,
        )
      ).denoised;
    const [ahead, behind] = [await along(1), await along(-1)];
    const differences = v.reduce((sum, value, i) => sum + (value * (ahead[i] - behind[i])) / (2 * h), 0);
    const exact = product.reduce((sum, value, i) => sum + value * w[i], 0);
    expect(Math.abs(exact - differences)).toBeLessThan(1e-3 * (1 + Math.abs(differences)));
    await jacobian.release();
  });

  test('and a likelihood of the network: the estimate scatters around the exact trace', async () => {
    const jacobian = await compileJacobian(runtime, config, { batch: 64, weights });
    const data = Float64Array.from({ length: 192 }, (_, i) => [0.3, -0.2, 0.5][i % 3]);
    const options = { process: edmProcess({ sigmaMin: 0.01, sigmaMax: 20 }), sampleSize: 3, rtol: 1e-4, atol: 1e-4 };
    const exact = await logLikelihood(jacobian.evaluate, data.subarray(0, 3), { ...options, probes: 'exact' });
    const probes = drawProbes('rademacher', 64, 3, { seed: 9 });
    const { logDensity, evaluations } = await logLikelihood(jacobian.evaluate, data, { ...options, probes });
    const mean = logDensity.reduce((sum, value) => sum + value, 0) / 64;
    const deviation = Math.sqrt(logDensity.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 63);
    expect(deviation).toBeGreaterThan(0);
    expect(Math.abs(mean - exact.logDensity[0])).toBeLessThan((5 * deviation) / 8 + 1e-2);
    expect(jacobian.evaluations).toBe(evaluations + exact.evaluations);
    await jacobian.release();
  });
});

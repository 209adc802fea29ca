import { expect, test } from 'vitest';
import { targetVarianceMeter } from '../../src/analysis/index.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { fillNormal, fillUniform, streams } from '../../src/numerics/random.ts';
import type { ReferenceDraw } from '../../src/objective/index.ts';
import { mean, standardError } from '../../src/numerics/statistics.ts';
import { naivePosterior } from '../objective/naive-posterior.ts';

/*
 * Data of three values with weights 5, 3 and 2 of 10: the mean variances of both targets are integrals over the noisy
 * value of finite sums, worked out here by quadrature.
 */
const support = [-1, 0.5, 3];
const probabilities = [0.5, 0.3, 0.2];
const data = Float32Array.of(-1, -1, -1, -1, -1, 0.5, 0.5, 0.5, 3, 3);
const sigma = 1.5;
const count = 4;

/** Rows that all count, as often as they come: draws with replacement. */
const drawOf = (batch: Uint32Array, shared: Uint32Array): ReferenceDraw => ({
  batch,
  shared,
  batchGroups: new BigInt64Array(batch.length),
  sharedGroups: new BigInt64Array(shared.length),
});

/** All tuples of references, with their probabilities. */
function draws(length: number): { values: number[]; probability: number }[] {
  if (length === 0) return [{ values: [], probability: 1 }];
  return draws(length - 1).flatMap(({ values, probability }) =>
    support.map((value, k) => ({ values: [...values, value], probability: probability * probabilities[k] })),
  );
}

/** E over the noisy value of the variances of the DSM target and of the stable target with `count` references. */
function expectedVariances(): { dsm: number; stf: number } {
  const others = draws(count - 1);
  const step = 0.05;
  let dsm = 0;
  let stf = 0;
  // Beyond 7 standard deviations on either side there is less than 1e-11 of the probability; the integrand is smooth, so
  // a sum with this step is exact to many more digits than are needed.
  for (let x = -12; x <= 14; x += step) {
    const joint = support.map(
      (y, k) => (probabilities[k] * Math.exp(-((x - y) ** 2) / (2 * sigma ** 2))) / (sigma * Math.sqrt(2 * Math.PI)),
    );
    const density = joint.reduce((a, b) => a + b, 0);
    const average = joint.reduce((sum, p, k) => sum + (p / density) * support[k], 0);
    joint.forEach((p, k) => {
      dsm += step * p * (support[k] - average) ** 2;
      for (const { values, probability } of others) {
        const references = [support[k], ...values].map((value) => [value]);
        const target = naivePosterior({ clean: [x], noise: [0], sigma }, references).mean[0];
        stf += step * p * probability * (target - average) ** 2;
      }
    });
  }
  return { dsm, stf };
}

test('the meter finds the variances that enumeration gives', async () => {
  const dataset = memoryDataset({ name: 'three values', data, sampleShape: [1] });
  // The references of a probe are its sources, so each sample has its own source and three other draws.
  const meter = await targetVarianceMeter(nodeRuntime({ threads: 1 }), dataset, {
    samples: count,
    sizes: { shared: count, own: 0 },
  });
  const probes = 1000;
  const [dsm, stf] = [new Float64Array(probes), new Float64Array(probes)];
  const uniform = new Float64Array(count);
  for (let i = 0; i < probes; i++) {
    const address = { seed: 21, stream: streams.evaluation, sample: i };
    const noise = new Float32Array(count);
    fillUniform(uniform, { ...address, step: 0 });
    fillNormal(noise, { ...address, step: 1 });
    const references = Uint32Array.from(uniform, (u) => Math.floor(u * 10));
    const clean = Float32Array.from(references, (index) => data[index]);
    const samples = { clean, noise, sigma: new Float32Array(count).fill(sigma) };
    const result = await meter.measure({ samples, draw: drawOf(references, references) });
    // The samples of a probe share references: its mean is one independent value.
    dsm[i] = mean(result.dsm);
    stf[i] = mean(result.stf);
    expect(Math.max(...result.effectiveSources)).toBeLessThanOrEqual(10 * (1 + 1e-6));
  }
  await meter.release();
  const expected = expectedVariances();
  // Five standard errors fail for less than 1 seed in a million. They are small enough to tell the two targets apart.
  expect(Math.abs(mean(dsm) - expected.dsm)).toBeLessThan(5 * standardError(dsm));
  expect(Math.abs(mean(stf) - expected.stf)).toBeLessThan(5 * standardError(stf));
  expect(standardError(stf)).toBeLessThan(0.05 * expected.stf);
  expect(mean(stf) + 5 * standardError(stf)).toBeLessThan(mean(dsm));
});

test('with the whole data set as references the stable target is exact', async () => {
  const dataset = memoryDataset({ name: 'three values', data, sampleShape: [1] });
  const meter = await targetVarianceMeter(nodeRuntime({ threads: 1 }), dataset, {
    samples: 2,
    sizes: { shared: 10, own: 0 },
  });
  const samples = {
    clean: Float32Array.of(-1, 3),
    noise: Float32Array.of(0.5, -1),
    sigma: Float32Array.of(sigma, 0.001),
  };
  const { dsm, stf, effectiveSources } = await meter.measure({
    samples,
    draw: drawOf(Uint32Array.of(0, 9), Uint32Array.of(0, 9, 8, 7, 6, 5, 4, 3, 2, 1)),
  });
  await meter.release();
  // Posterior means agree to a few roundings of values up to 3: squared, 1e-12.
  expect(Math.max(...stf)).toBeLessThan(1e-12);
  expect(dsm[0]).toBeGreaterThan(0.1);
  // Hardly any noise at 3: the two samples of that value share the weight, and nothing varies.
  expect(Math.abs(effectiveSources[1] - 2)).toBeLessThan(1e-6);
  expect(dsm[1]).toBeLessThan(1e-5);
});

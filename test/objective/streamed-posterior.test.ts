import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileStreamedMean, compileStreamedPosterior } from '../../src/objective/index.ts';
import type { StreamedPosterior } from '../../src/objective/index.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { naivePosterior, rowsOf } from './naive-posterior.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const [dimension, length, samples] = [3, 50, 6];
const data = Float32Array.from(testValues(length * dimension, [-1, 2]));
const labels = Array.from({ length }, (_, i) => (i * 7) % 4);
const dataset = memoryDataset({ name: 'small', data, sampleShape: [dimension], labelled: { labels, classes: 4 } });

const sources = [3, 17, 49, 0, 22, 8];
const perturbed = {
  clean: Float32Array.from(sources.flatMap((i) => [...data.subarray(i * dimension, (i + 1) * dimension)])),
  noise: Float32Array.from(testValues(samples * dimension, [-2, 2], 2)),
  sigma: Float32Array.of(0.01, 0.1, 0.3, 0.7, 2, 40),
};
const sourceLabels = sources.map((i) => labels[i]);

describe.each([
  [16, 'three blocks and two samples in a fourth'],
  [50, 'one block'],
  [64, 'one block that is not full'],
])('blocks of %i: %s', (block) => {
  let posterior: StreamedPosterior;

  beforeAll(async () => {
    posterior = await compileStreamedPosterior(nodeRuntime({ threads: 1 }), dataset, { samples, block });
  });

  afterAll(() => posterior.release());

  const rows = rowsOf(data, dimension);
  const [cleanRows, noiseRows] = [perturbed.clean, perturbed.noise].map((each) => rowsOf(each, dimension));

  async function compare(references: number[], withLabels: boolean): Promise<void> {
    const actual = await posterior.over(
      withLabels ? { ...perturbed, labels: sourceLabels } : perturbed,
      Uint32Array.from(references),
    );
    for (let s = 0; s < samples; s++) {
      const expected = naivePosterior(
        { clean: cleanRows[s], noise: noiseRows[s], sigma: perturbed.sigma[s] },
        references.map((i) => rows[i]),
        (k) => !withLabels || labels[references[k]] === sourceLabels[s],
      );
      // Float32 with values up to 3: log-weights are off by some roundings of their size, at most 16 that count, and
      // moments of up to 10 by 2^-24 each and by the weights' error; the variance is a difference of such moments.
      const at = `sample ${s}, sigma ${perturbed.sigma[s]}`;
      const mean = actual.mean.subarray(s * dimension, (s + 1) * dimension);
      expectClose(mean, expected.mean, { absolute: 1e-5 }, `mean of ${at}`);
      expectClose([actual.variance[s]], [expected.variance], { absolute: 3e-5 }, `variance of ${at}`);
      expectClose([actual.effectiveSources[s]], [expected.effectiveSources], { relative: 1e-5 }, `sources of ${at}`);
    }
  }

  const all = Array.from({ length }, (_, i) => i);

  test('the whole set', () => compare(all, false));

  test('a part of it, in another order, with repetitions', () =>
    compare([...sources, 5, 5, 44, 31, 2, 9, 12, 30, 29, 1, 1, 1, 40], false));

  test('references of the own class only', () => compare(all, true));

  test('the whole set again, as a range and by default', async () => {
    const one = await posterior.over(perturbed, all);
    expect(await posterior.over(perturbed, { start: 0, end: length })).toEqual(one);
    expect(await posterior.over(perturbed)).toEqual(one);
    const part = await posterior.over(perturbed, all.slice(7, 33));
    expect(await posterior.over(perturbed, { start: 7, end: 33 })).toEqual(part);
  });

  test('fewer samples than it was compiled for: each gets what it gets among the others', async () => {
    const few = 2;
    const size = few * dimension;
    const { clean, noise, sigma } = perturbed;
    const samplesOfFew = { clean: clean.slice(0, size), noise: noise.slice(0, size), sigma: sigma.slice(0, few) };
    for (const own of [undefined, sourceLabels]) {
      const whole = await posterior.over({ ...perturbed, labels: own });
      const part = await posterior.over({ ...samplesOfFew, labels: own });
      expect(part.mean).toEqual(whole.mean.slice(0, size));
      expect(part.variance).toEqual(whole.variance.slice(0, few));
      expect(part.effectiveSources).toEqual(whole.effectiveSources.slice(0, few));
    }
  });

  test('what it can not do is refused', async () => {
    const sigma = new Float32Array(samples + 1).fill(1);
    const [clean, noise] = [0, 1].map(() => new Float32Array((samples + 1) * dimension));
    await expect(posterior.over({ clean, noise, sigma })).rejects.toThrow('at most 6 samples at a time, got 7');
    await expect(posterior.over({ ...perturbed, noise })).rejects.toThrow('got 18 and 21');
    await expect(posterior.over(perturbed, [])).rejects.toThrow('at least 1 reference, got 0');
    await expect(posterior.over(perturbed, { start: 49, end: 51 })).rejects.toThrow('sample 50 does not exist');
  });

  test('two runs give the same: nothing is left from the one before', async () => {
    const first = await posterior.over(perturbed, all);
    await posterior.over({ ...perturbed, sigma: new Float32Array(samples).fill(1) }, all.slice(10));
    expect(await posterior.over(perturbed, all)).toEqual(first);
  });
});

test('images are read as values in [-1, 1]', async () => {
  const pixels = Uint8Array.of(0, 255, 51, 204);
  const images = memoryDataset({ name: 'pixels', data: pixels, sampleShape: [1, 1, 2] });
  const posterior = await compileStreamedPosterior(nodeRuntime({ threads: 1 }), images, { samples: 1, block: 3 });
  const sample = { clean: Float32Array.of(-1, 1), noise: Float32Array.of(0, 0), sigma: Float32Array.of(1e4) };
  const { mean } = await posterior.over(sample, [0, 1]);
  await posterior.release();
  // At sigma 1e4 both count alike, to 1e-8: the mean of (-1, 1) and (-0.6, 0.6).
  expectClose(mean, [-0.8, 0.8], { absolute: 1e-6 });
});

test('the mean alone is the mean of the posterior, bit by bit', async () => {
  const options = { samples, block: 7 };
  const runtime = nodeRuntime({ threads: 1 });
  const [whole, mean] = [
    await compileStreamedPosterior(runtime, dataset, options),
    await compileStreamedMean(runtime, dataset, options),
  ];
  expect(await mean.over(perturbed)).toEqual((await whole.over(perturbed)).mean);
  await whole.release();
  await mean.release();
});

test('a sample of a class that no reference has is an error', async () => {
  const mean = await compileStreamedMean(nodeRuntime({ threads: 1 }), dataset, { samples, block: 4 });
  const ofOther = { ...perturbed, labels: sources.map(() => labels[0]) };
  const references = Uint32Array.from([1, 2, 3]).filter((row) => labels[row] !== labels[0]);
  expect(references.length).toBeGreaterThan(0);
  await expect(mean.over(ofOther, references)).rejects.toThrow(
    `no reference counts for sample 0: none of the ${references.length} has its class, ${labels[0]}.`,
  );
  await mean.release();
});

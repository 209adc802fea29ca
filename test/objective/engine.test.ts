import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageToFloat } from '../../src/data/pixels.ts';
import { input } from '../../src/graph/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { posterior } from '../../src/objective/index.ts';
import type { PosteriorOptions } from '../../src/objective/index.ts';
import type { Program } from '../../src/runtime/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';
import { naivePosterior, rowsOf } from './naive-posterior.ts';
import type { NaivePosterior } from './naive-posterior.ts';

/*
 * The posterior as the engine computes it, in float32, against float64, over all noise levels that training draws. The
 * data are like images: many values in [-1, 1], some of them nearly the same picture.
 */

const dimension = 3 * 16 * 16;
const count = 96;
const sigmas = [0.002, 0.005, 0.02, 0.1, 0.5, 2, 4, 7, 15, 100];

/** Smooth images: a few plane waves of random phase for each channel. */
function image(seed: number): Float64Array {
  const waves = testValues(3 * 4 * 4, [-1, 1], seed);
  return new Float64Array(dimension).map((_, at) => {
    const [channel, row, column] = [Math.floor(at / 256), Math.floor(at / 16) % 16, at % 16];
    let value = 0;
    for (let k = 0; k < 4; k++) {
      const [a, b, phase, size] = waves.subarray((channel * 4 + k) * 4, (channel * 4 + k) * 4 + 4);
      value += 0.25 * (1 + size) * Math.sin(a * row + b * column + 3 * phase);
    }
    return Math.max(-1, Math.min(1, value));
  });
}

/** The image moved by a vector of the given length, in a random direction. */
function moved(base: Float64Array, distance: number, seed: number): Float64Array {
  const direction = testValues(dimension, [-1, 1], seed);
  const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
  return base.map((value, i) => value + (distance * direction[i]) / length);
}

/** References: 28 near duplicates of the first (1e-3 away), 4 of the second (1e-2 away), and others. */
const reference = ((): Float32Array => {
  const all = new Float32Array(count * dimension);
  for (let k = 0; k < count; k++) {
    const [base, distance] = k >= 10 && k < 38 ? [0, 1e-3] : k >= 38 && k < 42 ? [1, 1e-2] : [k, 0];
    all.set(moved(image(base + 1), distance, 1000 + k), k * dimension);
  }
  return all;
})();

/** One sample for each noise level from the first image, one from the second. */
const batch = 2 * sigmas.length;
const sigma = Float32Array.from({ length: batch }, (_, i) => sigmas[i % sigmas.length]);
const clean = new Float32Array(batch * dimension);
const noise = new Float32Array(batch * dimension);
for (let i = 0; i < batch; i++) {
  const source = i < sigmas.length ? 0 : 1;
  clean.set(reference.subarray(source * dimension, (source + 1) * dimension), i * dimension);
  // Uniform noise of variance 1.
  noise.set(testValues(dimension, [-Math.sqrt(3), Math.sqrt(3)], 5000 + i), i * dimension);
}

describe.each([
  ['one block', 4096],
  ['blocks of 40', 40],
])('%s', (_, block) => {
  let program: Program;
  let result: Record<string, Float32Array>;

  beforeAll(async () => {
    const perturbation = {
      clean: input('clean', [batch, dimension]),
      noise: input('noise', [batch, dimension]),
      sigma: input('sigma', [batch]),
    };
    const { mean, variance, effectiveSources } = posterior(perturbation, input('reference', [count, dimension]), {
      block,
    });
    program = await nodeRuntime({ threads: 1 }).compile({
      name: 'posterior',
      outputs: { mean, variance, effectiveSources },
    });
    result = (await program.run({ clean, noise, sigma, reference })) as Record<string, Float32Array>;
  });

  afterAll(() => program.release());

  const [cleanRows, noiseRows, references] = [clean, noise, reference].map((each) => rowsOf(each, dimension));
  const oracle = Array.from({ length: batch }, (_unused, i) =>
    naivePosterior({ clean: cleanRows[i], noise: noiseRows[i], sigma: sigma[i] }, references),
  );

  test('the data have what makes it hard', () => {
    // At the smallest noise some ten near duplicates share the weight; at the largest nearly all references do; in
    // between it is one, or a few.
    const sources = oracle.map((each) => each.effectiveSources);
    expect(sources[0]).toBeGreaterThan(5);
    expect(sources[sigmas.length - 1]).toBeGreaterThan(80);
    expect(sources[sigmas.length]).toBeLessThan(1.01);
  });

  test('targets', () => {
    for (let i = 0; i < batch; i++) {
      // Values near 1 are put together from a centre and a weighted mean: a few roundings of 2^-24 = 6e-8. Log-weights
      // in the matrix product are off by at most about 20 · 2^-24 · |x||y| / σ² with |y| < 28: 2e-5 where σ = 7 and
      // many far references count, which moves the mean by as much times a few tenths.
      const actual = result.mean.subarray(i * dimension, (i + 1) * dimension);
      expectClose(actual, oracle[i].mean, { absolute: 3e-6 }, `sample ${i}, sigma ${sigma[i]}`);
    }
  });

  test('weights, seen through the effective number of sources', () => {
    for (let i = 0; i < batch; i++) {
      // The near duplicates' log-weights are off by a few roundings of terms below 3; the others' as above.
      expectClose(
        [result.effectiveSources[i]],
        [oracle[i].effectiveSources],
        { relative: 1e-4 },
        `sample ${i}, sigma ${sigma[i]}`,
      );
    }
  });

  test('variances', () => {
    for (let i = 0; i < batch; i++) {
      // E|y|² - |E y|² of squares up to 300: 300 · 2^-24 · a few, and the weights' error.
      expectClose(
        [result.variance[i]],
        [oracle[i].variance],
        { relative: 2e-4, absolute: 2e-4 },
        `sample ${i}, sigma ${sigma[i]}`,
      );
    }
  });
});

test('more exact copies of the source than candidates share its weight', async () => {
  // 60 copies, 32 pairs: the others' approximate log-weights are off by tens of nats at this
  // noise, but never count for more than a candidate.
  const copies = 60;
  const values = reference.slice();
  for (let k = 1; k < copies; k++) values.copyWithin(k * dimension, 0, dimension);
  const perturbation = {
    clean: input('clean', [1, dimension]),
    noise: input('noise', [1, dimension]),
    sigma: input('sigma', [1]),
  };
  const { mean, effectiveSources } = posterior(perturbation, input('reference', [count, dimension]), {
    candidates: 32,
  });
  const program = await nodeRuntime({ threads: 1 }).compile({ name: 'copies', outputs: { mean, effectiveSources } });
  const [own, ownNoise] = [clean, noise].map((each) => each.slice(0, dimension));
  const result = await program.run({ clean: own, noise: ownNoise, sigma: Float32Array.of(0.002), reference: values });
  await program.release();
  // A mean of equal values: roundings of 2^-24. Copies beyond the candidates may weigh less, but for rounding upwards,
  // which happens to half of them at least: without the bound a single one of them would take all.
  expectClose(result.mean as Float32Array, own, { absolute: 1e-6 }, 'target');
  expect((result.effectiveSources as Float32Array)[0]).toBeGreaterThan(31.9);
  expect((result.effectiveSources as Float32Array)[0]).toBeLessThan(copies + 0.1);
});

/** Targets and effective sources of samples from references, as the engine gives them. */
async function run(
  samples: { clean: Float32Array; noise: Float32Array; sigma: Float32Array },
  references: Float32Array | Uint8Array,
  options: PosteriorOptions = {},
): Promise<{ mean: Float32Array; variance: Float32Array; effectiveSources: Float32Array }> {
  const size = samples.sigma.length;
  const perturbation = {
    clean: input('clean', [size, dimension]),
    noise: input('noise', [size, dimension]),
    sigma: input('sigma', [size]),
  };
  const dtype = references instanceof Uint8Array ? 'uint8' : 'float32';
  const { mean, variance, effectiveSources } = posterior(
    perturbation,
    input('reference', [references.length / dimension, dimension], dtype),
    options,
  );
  const compiled = await nodeRuntime({ threads: 1 }).compile({
    name: 'posterior',
    outputs: { mean, variance, effectiveSources },
  });
  const results = await compiled.run({ ...samples, reference: references });
  await compiled.release();
  return results as Record<'mean' | 'variance' | 'effectiveSources', Float32Array>;
}

const oracleOf = (
  samples: { clean: Float32Array; noise: Float32Array; sigma: Float32Array },
  references: Float32Array,
): NaivePosterior[] => {
  const [cleanOf, noiseOf, all] = [samples.clean, samples.noise, references].map((each) => rowsOf(each, dimension));
  return Array.from(samples.sigma, (level, i) =>
    naivePosterior({ clean: cleanOf[i], noise: noiseOf[i], sigma: level }, all),
  );
};

test('hundreds of near duplicates of one image: samples that need few pairs leave theirs to it', async () => {
  // 150 near duplicates of the first image, which eight pairs a sample would not reach; B · n = 20 · 400 pairs.
  const many = 400;
  const values = new Float32Array(many * dimension);
  for (let k = 0; k < many; k++) {
    const isNear = k >= 10 && k < 160;
    values.set(moved(image(isNear ? 1 : k + 1), isNear ? 1e-3 : 0, 3000 + k), k * dimension);
  }
  // The first sample is the only one of the first image at a small noise level.
  const levels = Float32Array.from(sigma, (_, i) => (i === 0 ? 0.002 : i < 10 ? 10 + i : 0.05));
  const samples = { clean: clean.slice(), noise, sigma: levels };
  const { mean, effectiveSources } = await run(samples, values);
  const oracle = oracleOf(samples, values);
  expect(oracle[0].effectiveSources).toBeGreaterThan(40);
  // As above: a few roundings of terms below 3.
  expectClose([effectiveSources[0]], [oracle[0].effectiveSources], { relative: 1e-4 });
  expectClose(mean.subarray(0, dimension), oracle[0].mean, { absolute: 3e-6 });
});

test('data far from the origin', async () => {
  const away = 1000;
  const far = reference.map((value) => value + away);
  const samples = { clean: clean.map((value) => value + away), noise, sigma };
  const { mean, effectiveSources } = await run(samples, far);
  oracleOf(samples, far).forEach((each, i) => {
    const at = `sample ${i}, sigma ${sigma[i]}`;
    // Values near 1000 are rounded to 2^-14 = 6e-5, and so are sums of 96 of them on the way: some ten times that.
    expectClose(mean.subarray(i * dimension, (i + 1) * dimension), each.mean, { absolute: 1e-3 }, at);
    // Moved back to the origin the references keep what 1000 + value holds of them, about which nothing is lost but in
    // the centre, as in the tests above.
    expectClose([effectiveSources[i]], [each.effectiveSources], { relative: 5e-4 }, at);
  });
});

test('points far from the origin lose nothing', async () => {
  const [size, many] = [8, 300];
  const points = Float32Array.from(testValues(many * 2, [999, 1001], 7));
  const samples = {
    clean: points.slice(0, size * 2),
    noise: Float32Array.from(testValues(size * 2, [-1, 1], 8)),
    sigma: Float32Array.from({ length: size }, (_, i) => 0.05 * 2 ** i),
  };
  const perturbation = {
    clean: input('clean', [size, 2]),
    noise: input('noise', [size, 2]),
    sigma: input('sigma', [size]),
  };
  const { mean } = posterior(perturbation, input('reference', [many, 2]));
  const compiled = await nodeRuntime({ threads: 1 }).compile({ name: 'points', outputs: { mean } });
  const result = (await compiled.run({ ...samples, reference: points })).mean as Float32Array;
  await compiled.release();
  const all = rowsOf(points, 2);
  samples.sigma.forEach((level, i) => {
    const [own, ownNoise] = [samples.clean, samples.noise].map((each) => each.subarray(2 * i, 2 * i + 2));
    const expected = naivePosterior({ clean: own, noise: ownNoise, sigma: level }, all);
    // The rounding of values near 1000, 2^-14 / 2, and the weights' error of some 1e-6 times the spread.
    expectClose(result.subarray(2 * i, 2 * i + 2), expected.mean, { absolute: 4e-5 }, `sigma ${level}`);
  });
});

describe('references that are pixels', () => {
  const pixels = Uint8Array.from(reference, (value) => Math.min(255, Math.max(0, Math.round((value + 1) * 127.5))));
  const values = imageToFloat(pixels);
  const sources = new Float32Array(batch * dimension);
  for (let i = 0; i < batch; i++) {
    const source = i < sigmas.length ? 0 : 1;
    sources.set(values.subarray(source * dimension, (source + 1) * dimension), i * dimension);
  }
  const samples = { clean: sources, noise, sigma };
  const oracle = oracleOf(samples, values);

  test.each([
    ['one block', 4096],
    ['blocks of 40', 40],
  ])('%s: the same as their values', async (_, block) => {
    const { mean, variance, effectiveSources } = await run(samples, pixels, { block });
    oracle.forEach((each, i) => {
      const at = `sample ${i}, sigma ${sigma[i]}`;
      // As for values; a source is u / 127.5 - 1 rounded, 6e-8, where a reference is exact, which moves log-weights of
      // pictures one step of a pixel apart, 8e-3, by 6e-8 · 8e-3 · 28 / 0.002² = 3e-3 at most, by 1e-4 typically.
      expectClose(mean.subarray(i * dimension, (i + 1) * dimension), each.mean, { absolute: 3e-6 }, at);
      expectClose([effectiveSources[i]], [each.effectiveSources], { relative: 3e-4 }, at);
      expectClose([variance[i]], [each.variance], { relative: 3e-4, absolute: 2e-4 }, at);
    });
  });
});

import { describe, expect, test } from 'vitest';
import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { NonFiniteError, ShapeError, UsageError } from '../../src/errors.ts';
import { constant, evaluate, oneHot } from '../../src/graph/index.ts';
import { ddpmpp } from '../../src/networks/index.ts';
import { fromFlat, initialize, parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { ExportedNetwork } from '../../src/sampling/index.ts';
import {
  compileDenoiser,
  denoiserToOnnx,
  drawLatents,
  generate,
  generateWith,
  edmSampler,
} from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';

const runtime = nodeRuntime({ threads: 1 });

const config: DenoiserConfig = {
  network: {
    ...ddpmpp,
    resolution: 8,
    modelChannels: 8,
    channelMult: [1, 2],
    blocks: 1,
    attentionResolutions: [4],
    labelDim: 3,
    dropout: 0,
  },
  preconditioning: { kind: 'edm', sigmaData: 0.5 },
};
const table = parameterTable((source) => makeDenoiser(source, config));
/** Starting weights, moved so that the zero-initialised layers count as well. */
const weights = initialize(table, 4).map((value, i) => value + 0.05 * Math.sin(1.7 * i));
const shape = [3, 8, 8];
const size = 192;
const heun = { steps: 6, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };

describe('latents', () => {
  test('are a function of the seed', () => {
    const three = drawLatents([5, 0, 7], [2, 3]);
    expect(drawLatents([7], [6])).toEqual(three.slice(12));
    expect(three.slice(0, 6)).not.toEqual(three.slice(6, 12));
    expect(() => drawLatents([-1], [2])).toThrow(UsageError);
  });

  test('are unit normal over seeds', () => {
    const latents = drawLatents(
      Array.from({ length: 5000 }, (_, i) => i),
      [2],
    );
    const mean = latents.reduce((a, b) => a + b, 0) / latents.length;
    const square = latents.reduce((a, b) => a + b * b, 0) / latents.length;
    // Standard errors 1 / sqrt(n) and sqrt(2 / n); five of them fail for less than 1 choice of seeds in a million.
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(latents.length));
    expect(Math.abs(square - 1)).toBeLessThan(5 * Math.sqrt(2 / latents.length));
  });
});

describe('a compiled denoiser', () => {
  const x = drawLatents([1, 2], shape);
  const oracle = (labels: number[]): Float64Array => {
    const denoiser = makeDenoiser(fromFlat(table, constant(weights)).source, config);
    const classes = constant(
      BigInt64Array.from(labels, (each) => BigInt(each)),
      [2],
      'int64',
    );
    const denoised = denoiser(constant(Float32Array.from(x), [2, ...shape]), constant([0.7, 0.7]), {
      classLabels: oneHot(classes, 3),
    });
    return evaluate([denoised])[0].data;
  };
  // Float32 through some twenty layers, each adding errors of a few 2^-24 to values of size 1.
  const tolerance = { relative: 2e-5 };

  test('is the denoiser, with fixed weights or with those of a state', async () => {
    const fixed = await compileDenoiser(runtime, config, { batch: 3, weights });
    const vector = { shape: [table.size], dtype: 'float32' as const, data: new Float32Array(table.size) };
    const state = runtime.createState({ ema: vector });
    const following = await compileDenoiser(runtime, config, { batch: 2, state, entry: 'ema' });
    state.write('ema', weights);
    for (const labels of [
      [0, 2],
      [-1, 1],
    ]) {
      const expected = oracle(labels);
      // Two samples in a batch of three: the third place is empty.
      expectClose(await fixed.denoise(x, 0.7, labels), expected, tolerance, 'fixed weights');
      expectClose(await following.denoise(x, 0.7, labels), expected, tolerance, 'weights of a state');
    }
    expectClose(await fixed.denoise(x, 0.7), oracle([-1, -1]), tolerance, 'no class');
    expect([fixed.evaluations, following.evaluations]).toEqual([3, 2]);
    await expect(following.denoise(new Float64Array(3 * size), 1)).rejects.toThrow(UsageError);
    await expect(following.denoise(new Float64Array(size + 1), 1)).rejects.toThrow(
      'denoise: at most 2 samples of 192 values, got 193 values',
    );
    await fixed.release();
    await following.release();
  });
});

test('the sample of a seed does not depend on the batch or on the other seeds', async () => {
  const seeds = [11, 3, 0, 8, 5];
  const labels = [0, 1, 2, -1, 1];
  const drawn: Float32Array[] = [];
  for (const batch of [1, 3, 4])
    drawn.push(await generate(runtime, config, weights, seeds, { ...heun, labels, batch }));
  const reversed = await generate(runtime, config, weights, [...seeds].reverse(), {
    ...heun,
    labels: [...labels].reverse(),
    batch: 4,
  });
  // Matrix products of another height may add up in another order: a float32 rounding here and there, carried through
  // 11 evaluations of a network that does not amplify.
  for (const other of drawn.slice(1)) expectClose(other, drawn[0], { relative: 1e-4 });
  seeds.forEach((_, i) => {
    const at = seeds.length - 1 - i;
    expectClose(reversed.subarray(at * size, (at + 1) * size), drawn[2].subarray(i * size, (i + 1) * size), {
      relative: 1e-4,
    });
  });
  expect(drawn[0].subarray(0, size)).not.toEqual(drawn[0].subarray(size, 2 * size));
});

test('generateWith is the sampler on the latents, and tells how far it is', async () => {
  const denoiser = await compileDenoiser(runtime, config, { batch: 2, weights });
  const progress: [number, number][] = [];
  const samples = await generateWith(denoiser, shape, [1, 2, 3], {
    ...heun,
    onProgress: ({ samplesDone, evaluations }) => progress.push([samplesDone, evaluations]),
  });
  const last = await edmSampler((x, sigma) => denoiser.denoise(x, sigma), drawLatents([3], shape), heun);
  await denoiser.release();
  // The same program on the same numbers, rounded to float32 at the end.
  expect(samples.subarray(2 * size)).toEqual(Float32Array.from(last));
  expect(progress).toHaveLength(2 * heun.steps);
  expect(progress[5]).toEqual([2, 11]);
  expect(progress[11]).toEqual([3, 22]);
});

test('a batch that is no number of samples is refused', async () => {
  for (const batch of [0, -1, 1.5, NaN, Infinity]) {
    const drawn = generate(runtime, config, weights, [1, 2, 3], { ...heun, batch });
    await expect(drawn).rejects.toThrow(new UsageError(`batch must be an integer of at least 1, got ${batch}.`));
    await expect(compileDenoiser(runtime, config, { batch, weights })).rejects.toThrow(UsageError);
  }
});

test('weights of another network are refused by their number', async () => {
  for (const length of [3, table.size - 1, table.size + 1]) {
    const other = new Float32Array(length);
    const refused = new ShapeError(`weights: the network has ${table.size} parameters, got ${length} values.`);
    await expect(generate(runtime, config, other, [1], { ...heun, batch: 1 })).rejects.toThrow(refused);
    const exported = { config, weights: other, sampler: heun, description: {} } as unknown as ExportedNetwork;
    expect(() => denoiserToOnnx(exported)).toThrow(refused);
  }
});

describe('a network whose training diverged', () => {
  test('is refused when its weights are NaN, which are counted', async () => {
    const spoilt = Float32Array.from(weights);
    spoilt.set([NaN, Infinity], 5);
    const drawn = generate(runtime, config, spoilt, [0], { batch: 1, ...heun });
    await expect(drawn).rejects.toThrow(NonFiniteError);
    await expect(drawn).rejects.toThrow(`weights: 2 of ${weights.length} are NaN or infinite, the first one NaN at 5.`);
  });

  test('is found by its samples where its weights are finite, and the seed is named', async () => {
    // Products of such weights leave the range of float32.
    const huge = weights.map((value) => 1e30 * value);
    const drawn = generate(runtime, config, huge, [7, 8], { batch: 2, ...heun });
    await expect(drawn).rejects.toThrow(NonFiniteError);
    await expect(drawn).rejects.toThrow('the sample of seed 7 is NaN, and so are 2 of the 2 drawn with it');
  });
});

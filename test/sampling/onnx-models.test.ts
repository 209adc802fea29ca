import * as ort from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { fromBinary } from '@bufbuild/protobuf';
import { toUint8 } from '../../src/data/pixels.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import { readOnnxMetadata, toFloat64 } from '../../src/graph/index.ts';
import { ModelProtoSchema } from '../../src/graph/onnx/onnx_pb.ts';
import type { GraphProto } from '../../src/graph/onnx/onnx_pb.ts';
import { adm, ddpmpp, ncsnpp, sampleShapeOf } from '../../src/networks/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime, optionsFor } from '../../src/node/onnxruntime.ts';
import { openModel } from '../../src/runtime/index.ts';
import type { ModelFile, ModelInput } from '../../src/runtime/index.ts';
import {
  compareDenoiser,
  compareSampler,
  compileDenoiser,
  denoiserToOnnx,
  drawLatents,
  edmNoiseLevels,
  edmSampler,
  isWithinTolerance,
  samplerToOnnx,
} from '../../src/sampling/index.ts';
import type { CompiledDenoiser, ExportedNetwork } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const runtime = nodeRuntime({ threads: 1 });
const { sessionOptions } = optionsFor({ threads: 1 });

const small = {
  resolution: 8,
  modelChannels: 8,
  channelMult: [1, 2],
  blocks: 1,
  attentionResolutions: [4],
  dropout: 0,
};
// Attention of ADM has heads of 64 channels: 64 and 128 of them make one and two heads.
const smallAdm = { ...adm, ...small, modelChannels: 64, attentionResolutions: [8, 4], labelDim: 0 };
const mlp = { kind: 'mlp', sampleShape: [2], width: 16, blocks: 2, labelDim: 0, labelDropout: 0, dropout: 0 } as const;
const edm = { kind: 'edm', sigmaData: 0.5 } as const;

/** Every kind of network, with and without classes, and every kind of preconditioning. */
const configs: Record<string, DenoiserConfig> = {
  'ddpmpp, edm': { network: { ...ddpmpp, ...small }, preconditioning: edm },
  'ddpmpp of three classes, vp': {
    network: { ...ddpmpp, ...small, labelDim: 3 },
    preconditioning: { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 },
  },
  'ncsnpp, ve': {
    network: { ...ncsnpp, ...small },
    preconditioning: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 },
  },
  'ddpmpp with skips in encoder and decoder, edm': {
    network: { ...ddpmpp, ...small, encoder: 'skip', decoder: 'skip' },
    preconditioning: edm,
  },
  'adm of four classes, edm': { network: { ...smallAdm, labelDim: 4 }, preconditioning: edm },
  'adm with a variance, iddpm': {
    network: { ...smallAdm, outChannels: 6 },
    preconditioning: { kind: 'iddpm', c1: 0.001, c2: 0.008, steps: 1000 },
  },
  'mlp, flow matching': {
    network: mlp,
    preconditioning: { kind: 'process', process: { kind: 'flow', epsilonT: 1e-3 }, output: 'velocity' },
  },
  'mlp of two classes, sub-vp with v': {
    network: { ...mlp, labelDim: 2 },
    preconditioning: {
      kind: 'process',
      process: { kind: 'sub-vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 },
      output: 'v',
    },
  },
};

const settings = { steps: 6, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };

/** A network with noise on all of its weights: fresh ones end in zeros, and would compare nothing. */
function networkOf(config: DenoiserConfig): ExportedNetwork {
  const table = parameterTable((source) => makeDenoiser(source, config));
  const noise = testValues(table.size, [-0.1, 0.1]);
  const weights = initialize(table, 1).map((value, i) => value + noise[i]);
  const description = { name: 'test', license: 'CC0-1.0', version: '1.2.3', kimg: 12.5 };
  return { config, weights, sampler: settings, description };
}

const tensor = (data: ArrayLike<number>, shape: readonly number[]): ModelInput => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(data),
});
const labelsOf = (labels: readonly number[]): ModelInput => ({
  dtype: 'int64',
  shape: [labels.length],
  data: BigInt64Array.from(labels, (each) => BigInt(each)),
});

async function withModel<T>(bytes: Uint8Array, use: (model: ModelFile) => Promise<T>): Promise<T> {
  const model = await openModel(ort, bytes, sessionOptions);
  return use(model).finally(() => model.release());
}

/** The sampler of this package on given latents, float64. */
const sampled = (own: CompiledDenoiser, { sampler }: ExportedNetwork, latents: Float64Array, labels?: number[]) =>
  edmSampler((x, sigma) => own.denoise(x, sigma, labels), latents, {
    ...sampler,
    sigmaMin: Math.max(sampler.sigmaMin, own.sigmaRange.min),
    sigmaMax: Math.min(sampler.sigmaMax, own.sigmaRange.max),
    roundSigma: (sigma) => own.roundSigma(sigma),
  });

// No graph is lowered for any of these sizes.
const batches = [1, 3, 7, 8];

describe.each(Object.keys(configs))('%s', (name) => {
  const network = networkOf(configs[name]);
  const { config, weights } = network;
  const { labelDim } = config.network;
  const shape = sampleShapeOf(config.network);
  const size = shape.reduce((a, b) => a * b);

  test('the exported denoiser is the denoiser, for any batch with any noise levels and classes', async () => {
    const own = await compileDenoiser(runtime, config, { batch: 1, weights });
    await withModel(denoiserToOnnx(network), async (model) => {
      for (const batch of batches) {
        const sigmas = Array.from({ length: batch }, (_, i) => [0.05, 20, 1][i % 3]);
        const labels = sigmas.map((_, i) => (i % (labelDim + 1)) - 1);
        const x = drawLatents([...sigmas.keys()], shape).map((value, i) => value * sigmas[Math.floor(i / size)]);
        const inputs = {
          x: tensor(x, [batch, ...shape]),
          sigma: tensor(sigmas, [batch]),
          ...(labelDim > 0 && { labels: labelsOf(labels) }),
        };
        const { denoised } = await model.run(inputs);
        for (const [i, sigma] of sigmas.entries()) {
          const one = Float64Array.from(x.subarray(i * size, (i + 1) * size), Math.fround);
          const expected = await own.denoise(one, sigma, [labels[i]]);
          // Float32 through some twenty layers of both, whose largest term is of the size of x or D.
          const scale = Math.max(...one.map(Math.abs), ...expected.map(Math.abs));
          expectClose(
            toFloat64(denoised).subarray(i * size, (i + 1) * size),
            expected,
            { absolute: 1e-5 * scale },
            `batch ${batch}, sample ${i}`,
          );
        }
      }
    });
    await own.release();
  });

  test('the exported sampler is the sampler, for any batch', async () => {
    // From noise of any size, a network that knows nothing and predicts noise or velocity draws but black and white: its
    // samples begin at little noise, and those of the others with small latents.
    const isEdm = config.preconditioning.kind === 'edm';
    const drawn = { ...network, sampler: { ...settings, sigmaMax: isEdm ? 80 : 0.3 } };
    for (const state of ['float32', 'float64'] as const)
      await withModel(samplerToOnnx(drawn, { state }), async (model) => {
        for (const batch of batches) {
          const own = await compileDenoiser(runtime, config, { batch, weights });
          const seeds = Array.from({ length: batch }, (_, i) => i);
          const labels = labelDim > 0 ? seeds.map((seed) => seed % labelDim) : undefined;
          const latents = drawLatents(seeds, shape).map((value) => Math.fround(isEdm ? value / 200 : value));
          const inputs = {
            latents: tensor(latents, [batch, ...shape]),
            ...(labels && { labels: labelsOf(labels) }),
          };
          const { images, samples } = await model.run(inputs);
          const expected = await sampled(own, drawn, latents, labels);
          await own.release();
          if (config.network.kind === 'mlp') {
            // Eleven evaluations in float32, of which every other is made from the one before.
            expectClose(toFloat64(samples), expected, { relative: 1e-5 }, `${state}, batch ${batch}`);
            continue;
          }
          const pixels = toUint8(expected);
          const grey = pixels.filter((value) => value > 0 && value < 255);
          expect(grey.length).toBeGreaterThan(pixels.length / 2);
          expect(images).toHaveLength(pixels.length);
          const differences = Float64Array.from(pixels, (value, i) => Math.abs(value - Number(images[i])));
          // Values differ by 1e-6 of their size, so one in some thousand pixels may fall on the other side of a border.
          expect(Math.max(...differences)).toBeLessThanOrEqual(1);
          expect(differences.filter((each) => each > 0).length).toBeLessThanOrEqual(1 + pixels.length / 500);
        }
      });
  });

  test('the comparison that stf export makes is passed', async () => {
    const differences = [
      await withModel(denoiserToOnnx(network), (model) => compareDenoiser(runtime, network, model)),
      await withModel(samplerToOnnx(network), (model) => compareSampler(runtime, network, model)),
    ];
    expect(differences.map(isWithinTolerance)).toEqual([true, true]);
    expect(differences.map(({ compared }) => compared)).toEqual([3 * size, 2 * size]);
  });
});

const network = networkOf(configs['ddpmpp of three classes, vp']);

test('a model that computes something else is found out', async () => {
  const broken = (change: (values: ArrayLike<number>) => Float32Array | Uint8Array) => (model: ModelFile) => ({
    ...model,
    run: async (inputs: Readonly<Record<string, ModelInput>>) => {
      const outputs = await model.run(inputs);
      return Object.fromEntries(Object.entries(outputs).map(([key, data]) => [key, change(toFloat64(data))]));
    },
  });
  const verdict = async (change: Parameters<typeof broken>[0]): Promise<boolean[]> => [
    isWithinTolerance(
      await withModel(denoiserToOnnx(network), (model) => compareDenoiser(runtime, network, broken(change)(model))),
    ),
    isWithinTolerance(
      await withModel(samplerToOnnx(network), (model) => compareSampler(runtime, network, broken(change)(model))),
    ),
  ];
  expect(await verdict((values) => Float32Array.from(values))).toEqual([true, true]);
  const last = (change: (value: number) => number) => (values: ArrayLike<number>) =>
    Float32Array.from(values, (value, i) => (i === values.length - 1 ? change(value) : value));
  expect(await verdict(last((value) => value + 2))).toEqual([false, false]);
  expect(await verdict(last(() => NaN))).toEqual([false, false]);
  await expect(verdict((values) => Float32Array.from(values).subarray(1))).rejects.toThrow(/expected 576/);
});

describe('the files', () => {
  const files = { denoiser: denoiserToOnnx(network), sampler: samplerToOnnx(network) };
  const graphOf = (bytes: Uint8Array): GraphProto => fromBinary(ModelProtoSchema, bytes).graph!;

  test('tell what they are', () => {
    const levels = edmNoiseLevels(settings);
    for (const [kind, bytes] of Object.entries(files)) {
      const { noise_levels, ...metadata } = readOnnxMetadata(bytes);
      expect(metadata).toEqual({
        format: `stf-${kind}/1`,
        name: 'test',
        license: 'CC0-1.0',
        version: '1.2.3',
        kimg: '12.5',
        network: 'song-unet',
        preconditioning: 'vp',
        sample_shape: '[3,8,8]',
        resolution: '8',
        channels: '3',
        classes: '3',
        data_range: '[-1, 1]',
        // sqrt(exp(19.9 t² / 2 + 0.1 t) - 1) at t = 1e-5 and at 1.
        network_sigma_min: expect.stringMatching(/^0\.00100049/),
        network_sigma_max: expect.stringMatching(/^152\.1669/),
        sampler: 'edm-heun',
        steps: '6',
        evaluations: '11',
        sigma_max: '80',
        sigma_min: '0.002',
        rho: '7',
      });
      expect(JSON.parse(noise_levels)).toEqual([...levels]);
    }
  });

  test('have one copy of the weights, operators of the standard, and a free dimension by name', () => {
    for (const bytes of Object.values(files)) {
      const used = network.weights.byteLength;
      expect(bytes.length).toBeGreaterThan(used);
      expect(bytes.length).toBeLessThan(used + 60_000);
      const { opsetImport, graph } = fromBinary(ModelProtoSchema, bytes);
      expect(opsetImport.map(({ domain }) => domain)).toEqual(['']);
      const body = graph!.node.find(({ opType }) => opType === 'Loop')?.attribute[0].g;
      const nodes = [...graph!.node, ...(body?.node ?? [])];
      expect(nodes.filter(({ opType }) => opType === 'Conv').length).toBeGreaterThan(10);
      expect(new Set(nodes.map(({ domain }) => domain))).toEqual(new Set(['']));
      expect((body ?? graph!).initializer.map(({ name }) => name)).toContain('model.enc.8x8_conv.weight');
    }
    const declared = (bytes: Uint8Array): unknown[] =>
      [...graphOf(bytes).input, ...graphOf(bytes).output].map(({ name, type }) =>
        type?.value.case === 'tensorType'
          ? [name, ...(type.value.value.shape?.dim ?? []).map(({ value }) => value.value ?? '?').map(String)]
          : [],
      );
    expect(declared(files.denoiser)).toEqual([
      ['x', 'batch', '3', '8', '8'],
      ['sigma', 'batch'],
      ['labels', 'batch'],
      ['denoised', 'batch', '3', '8', '8'],
    ]);
    expect(declared(files.sampler)).toEqual([
      ['latents', 'batch', '3', '8', '8'],
      ['labels', 'batch'],
      ['images', 'batch', '3', '8', '8'],
    ]);
  });

  test('run in the engine of browsers', async () => {
    web.env.wasm.numThreads = 1;
    const model = await openModel(web, files.sampler, { executionProviders: ['wasm'] });
    const difference = await compareSampler(runtime, network, model);
    await model.release();
    expect(isWithinTolerance(difference), JSON.stringify(difference)).toBe(true);
  });
});

test('settings that the sampler cannot use are refused', () => {
  const swapped = { ...network, sampler: { ...settings, sigmaMin: 80, sigmaMax: 0.002 } };
  expect(() => samplerToOnnx(swapped)).toThrow(UsageError);
  expect(() => denoiserToOnnx(swapped)).toThrow('Are they swapped?');
});

import * as ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { toUint8 } from '../../src/data/pixels.ts';
import { adm, ddpmpp, ncsnpp, sampleShapeOf } from '../../src/networks/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { readOnnxMetadata } from '../../src/graph/index.ts';
import { compileDenoiser, denoiserToOnnx, drawLatents, generateWith, samplerToOnnx } from '../../src/sampling/index.ts';
import { testValues } from '../support/random.ts';

const runtime = nodeRuntime({ threads: 1 });
const small = { resolution: 8, modelChannels: 8, channelMult: [1, 2], blocks: 1, attentionResolutions: [4], dropout: 0 };
const configs: Record<string, DenoiserConfig> = {
  ddpmpp: { network: { ...ddpmpp, ...small, labelDim: 3 }, preconditioning: { kind: 'edm', sigmaData: 0.5 } },
  ncsnpp: { network: { ...ncsnpp, ...small }, preconditioning: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 } },
  adm: { network: { ...adm, ...small, modelChannels: 32, labelDim: 4, channelMult: [1, 2] }, preconditioning: { kind: 'edm', sigmaData: 0.5 } },
  iddpm: { network: { ...adm, ...small, outChannels: 6, modelChannels: 32, labelDim: 0 }, preconditioning: { kind: 'iddpm', c1: 0.001, c2: 0.008, steps: 1000 } },
  vp: { network: { ...ddpmpp, ...small }, preconditioning: { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 } },
  flow: { network: { kind: 'mlp', sampleShape: [2], width: 16, blocks: 2, labelDim: 0, labelDropout: 0, dropout: 0 }, preconditioning: { kind: 'process', process: { kind: 'flow', epsilonT: 1e-3 }, output: 'velocity' } },
  mlp: { network: { kind: 'mlp', sampleShape: [2], width: 16, blocks: 2, labelDim: 2, labelDropout: 0, dropout: 0 }, preconditioning: { kind: 'edm', sigmaData: 0.5 } },
};
const sampler = { steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
test.each(Object.keys(configs))('%s', async (name) => {
  const config = configs[name];
  const table = parameterTable((source) => makeDenoiser(source, config));
  const noise = testValues(table.size, [-0.1, 0.1]);
  const weights = initialize(table, 1).map((v, i) => v + noise[i]);
  const net = { config, weights, sampler, description: { name, license: 'x', version: '1' } };
  const shape = sampleShapeOf(config.network);
  const size = shape.reduce((a, b) => a * b);
  const bytes = denoiserToOnnx(net);
  console.log(readOnnxMetadata(bytes), bytes.length, weights.length * 4);
  const options = { executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 2 } as const;
  const session = await ort.InferenceSession.create(bytes, options);
  const { labelDim } = config.network;
  for (const batch of [1, 3, 8]) {
    const labels = Array.from({ length: batch }, (_, i) => labelDim ? i % labelDim : 0);
    const compiled = await compileDenoiser(runtime, config, { batch, weights });
    const seeds = labels.map((_, i) => i);
    const latents = drawLatents(seeds, shape);
    const out: string[] = [];
    for (const sigma of [0.05, 1, 30]) {
      const x = latents.map((v) => v * sigma);
      const want = await compiled.denoise(x, sigma, labels);
      const got = await session.run({
        x: new ort.Tensor('float32', Float32Array.from(x), [batch, ...shape]),
        sigma: new ort.Tensor('float32', new Float32Array(batch).fill(sigma), [batch]),
        ...(labelDim && { labels: new ort.Tensor('int64', BigInt64Array.from(labels, BigInt), [batch]) }),
      });
      const d = got.denoised.data as Float32Array;
      let worst = 0, scale = 0;
      want.forEach((v, i) => { worst = Math.max(worst, Math.abs(v - d[i])); scale = Math.max(scale, Math.abs(v)); });
      out.push(`${sigma}: ${worst.toExponential(1)}/${scale.toExponential(1)}`);
    }
    const expected = await generateWith(compiled, shape, seeds, { ...sampler, ...(labelDim && { labels }) });
    for (const state of ['float32', 'float64'] as const) {
      const s = await ort.InferenceSession.create(samplerToOnnx(net, state), options);
      const got = await s.run({
        latents: new ort.Tensor('float32', Float32Array.from(latents), [batch, ...shape]),
        ...(labelDim && { labels: new ort.Tensor('int64', BigInt64Array.from(labels, BigInt), [batch]) }),
      });
      if (got.samples) {
        const d = got.samples.data as Float32Array;
        out.push(`${state} ${Math.max(...expected.map((v, i) => Math.abs(v - d[i]))).toExponential(1)} of ${Math.max(...expected.map(Math.abs)).toExponential(1)}`);
      } else {
        const d = got.images.data as Uint8Array;
        const p = toUint8(expected);
        const diffs = Array.from(p, (v, i) => Math.abs(v - d[i]));
        out.push(`${state} levels max ${Math.max(...diffs)} count ${diffs.filter(Boolean).length}/${diffs.length} scale ${Math.max(...expected.map(Math.abs)).toExponential(1)}`);
      }
    }
    console.log(name, batch, out.join('; '), size);
  }
});

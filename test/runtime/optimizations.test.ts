import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as ort from 'onnxruntime-node';
import {
  add,
  conv2d,
  gradients,
  groupNorm,
  input,
  mul,
  optimizations,
  optimize,
  silu,
  sizeOf,
  square,
  sum,
  toOnnx,
} from '../../src/graph/index.ts';
import type { Optimization, Tensor } from '../../src/graph/index.ts';
import { nodeRuntime, optionsFor } from '../../src/node/onnxruntime.ts';
import { channelsBeside } from '../../src/graph/ops/weight-gradient-lowering.ts';
import { findChannelBlock } from '../../src/runtime/channel-block.ts';
import { testValues } from '../support/random.ts';

/*
 * What the optimisations change is how a graph is computed. The oracle is the same graph with one of them, or all, left
 * out; that the plain graph is right is shown by test/graph/primitives.test.ts against float64.
 */

/** Convolutions of every kind that the lowerings tell apart, with all their gradients. */
function graph(): { inputs: Tensor[]; outputs: Record<string, Tensor> } {
  const x = input('x', [3, 16, 6, 5]);
  const weights = {
    three: input('three', [32, 16, 3, 3]), // channels in blocks
    wide: input('wide', [192, 32, 3, 3]),
    narrow: input('narrow', [7, 192, 3, 3]), // 192 channels in, which lie in several strips; 7 out, which no block has
    strided: input('strided', [16, 7, 3, 3]),
    one: input('one', [16, 16, 1, 1]),
    five: input('five', [16, 16, 5, 5]),
    even: input('even', [16, 16, 4, 4]),
  };
  const bias = input('bias', [32]);
  const gamma = input('gamma', [32]);
  let y = conv2d(x, weights.three, { padding: 1, bias });
  y = silu(groupNorm(y, gamma, mul(gamma, 1), { groups: 4, epsilon: 1e-5 }));
  y = conv2d(conv2d(y, weights.wide, { padding: 1 }), weights.narrow, { padding: 1 });
  y = conv2d(y, weights.strided, { padding: 1, stride: 2 });
  y = add(conv2d(y, weights.one), mul(conv2d(y, weights.one), 1));
  y = conv2d(conv2d(y, weights.five, { padding: 2 }), weights.even, { padding: 2 });
  const inputs = [x, ...Object.values(weights), bias, gamma];
  const derivatives = gradients(sum(square(y)), inputs);
  const outputs = Object.fromEntries(derivatives.map((each, i) => [`d${nameOf(inputs[i])}`, each]));
  return { inputs, outputs: { y, ...outputs } };
}

const nameOf = (tensor: Tensor): string => (tensor.attributes as { name: string }).name;

async function compute(without: readonly Optimization[]): Promise<Record<string, Float32Array>> {
  const { inputs, outputs } = graph();
  const program = await nodeRuntime({ threads: 1, without }).compile({ name: 'all kinds', outputs });
  try {
    const values = inputs.map((each, i) => {
      // Weights of a size that keeps what the layers compute near 1.
      const scale = 1.5 / Math.sqrt(sizeOf(each.shape.slice(1)));
      const size = each.shape.length === 4 && i > 0 ? scale : 1;
      return [nameOf(each), Float32Array.from(testValues(sizeOf(each.shape), [-size, size], i + 1))] as const;
    });
    return (await program.run(Object.fromEntries(values))) as Record<string, Float32Array>;
  } finally {
    await program.release();
  }
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((total, value) => total + value ** 2, 0));

function expectSame(actual: Record<string, Float32Array>, expected: Record<string, Float32Array>): void {
  for (const [name, values] of Object.entries(expected)) {
    const difference = norm(values.map((value, i) => value - actual[name][i]));
    // Sums of some thousand float32 products in another order, through seven layers: 1e-6 is seen.
    expect(difference / norm(values), name).toBeLessThan(1e-5);
    expect(norm(values), name).toBeGreaterThan(1e-3);
  }
}

const block = await findChannelBlock(ort, optionsFor({ threads: 1 }).sessionOptions);

describe('optimisations change no result', async () => {
  const reference = await compute(optimizations);

  test('all of them', async () => expectSame(await compute([]), reference));

  test.each(optimizations)('%s, on and off', async (name) => {
    expectSame(await compute([name]), await compute([]));
    expectSame(await compute(optimizations.filter((each) => each !== name)), reference);
  });
});

test.for(optimizations)('%s changes the model that the engine gets', (name, { skip }) => {
  skip(name === 'blockedConvolution' && block === undefined, 'the engine has no layout of its own on this processor');
  const { outputs } = graph();
  const write = (without: ReadonlySet<Optimization>): Uint8Array => {
    const optimized = optimize(Object.values(outputs), { without });
    const named = Object.fromEntries(Object.keys(outputs).map((each, i) => [each, optimized[i]]));
    return toOnnx(named, { channelBlock: block, without });
  };
  expect(Buffer.compare(write(new Set([name])), write(new Set()))).not.toBe(0);
});

describe('the block of channels', () => {
  test('is 16 with AVX-512 and 8 with AVX2', ({ skip }) => {
    const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
    skip(!flags.includes(' avx2 '), 'no Linux on a processor with AVX2');
    expect(block).toBe(flags.includes(' avx512f ') ? 16 : 8);
  });

  test('is asked for once', () => {
    const options = optionsFor({ threads: 1 }).sessionOptions;
    expect(findChannelBlock(ort, options)).toBe(findChannelBlock(ort, options));
  });

  test('an engine without such operators, or with wrong numbers, has none', async () => {
    const refusing = { ...ort, InferenceSession: { create: () => Promise.reject(new Error('no such operator')) } };
    await expect(findChannelBlock(refusing as unknown as typeof ort, {})).resolves.toBeUndefined();
    const zeros = (size: number) => ({ data: new Float32Array(size) });
    const session = { run: () => Promise.resolve({ y: zeros(384), dx: zeros(192) }), release: () => Promise.resolve() };
    const wrong = { ...ort, InferenceSession: { create: () => Promise.resolve(session) } };
    await expect(findChannelBlock(wrong as unknown as typeof ort, {})).resolves.toBeUndefined();
  });
});

test('channels lie side by side in strips of equal width, at most 64, an even number of them or one', () => {
  const found = [3, 64, 65, 66, 96, 128, 130, 160, 192, 256, 384, 512].map((channels) => [
    channels,
    channelsBeside(channels),
  ]);
  expect(found).toEqual([
    [3, 3],
    [64, 64],
    [65, 1],
    [66, 33],
    [96, 48],
    [128, 64],
    [130, 13],
    [160, 40],
    [192, 48],
    [256, 64],
    [384, 64],
    [512, 64],
  ]);
});

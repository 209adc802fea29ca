import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../../src/errors.ts';
import { constant, evaluate, input } from '../../src/graph/index.ts';
import { adm, dhariwalUNet } from '../../src/networks/index.ts';
import type { DhariwalUNetConfig } from '../../src/networks/index.ts';
import { fromFlat, initialize, parameterTable, viewsOf } from '../../src/nn/index.ts';
import { testValues } from '../support/random.ts';

const tableOf = (config: DhariwalUNetConfig) => parameterTable((source) => dhariwalUNet(source, config));

const small: DhariwalUNetConfig = {
  ...adm,
  resolution: 8,
  modelChannels: 32,
  channelMult: [1, 2],
  blocks: 1,
  attentionResolutions: [4],
  labelDim: 5,
  augmentDim: 3,
};

/**
 * Parameters of an ADM, counted layer by layer from the description of the architecture (Karras et al. 2022, appendix
 * F.3 and Table 7; Dhariwal and Nichol 2021, appendix A), with nothing of the code under test.
 */
function countByHand({
  resolution,
  channels: colours,
  outChannels,
  modelChannels,
  channelMult,
  channelMultEmbedding,
  blocks,
  attentionResolutions,
  labelDim,
  augmentDim,
}: DhariwalUNetConfig): number {
  const linear = (from: number, to: number): number => from * to + to;
  const conv = (from: number, to: number, kernel: number): number => from * to * kernel ** 2 + to;
  const norm = (channels: number): number => 2 * channels;
  const embedding = channelMultEmbedding * modelChannels;
  // A scale and a shift for each channel; the shortcut has weights only where the width changes.
  const block = (from: number, to: number, attends = false): number =>
    norm(from) +
    conv(from, to, 3) +
    linear(embedding, 2 * to) +
    norm(to) +
    conv(to, to, 3) +
    (from !== to ? conv(from, to, 1) : 0) +
    (attends && to >= 64 ? norm(to) + conv(to, 3 * to, 1) + conv(to, to, 1) : 0);

  let total = linear(modelChannels, embedding) + linear(embedding, embedding);
  total += labelDim * embedding + augmentDim * modelChannels;
  let width = channelMult[0] * modelChannels;
  total += conv(colours, width, 3);
  const skips = [width];
  channelMult.forEach((mult, level) => {
    if (level > 0) {
      total += block(width, width);
      skips.push(width);
    }
    for (let i = 0; i < blocks; i++) {
      total += block(width, mult * modelChannels, attentionResolutions.includes(resolution >> level));
      width = mult * modelChannels;
      skips.push(width);
    }
  });
  total += block(width, width, true) + block(width, width);
  for (let level = channelMult.length - 1; level >= 0; level--) {
    if (level < channelMult.length - 1) total += block(width, width);
    for (let i = 0; i <= blocks; i++) {
      const to = channelMult[level] * modelChannels;
      total += block(width + skips.pop()!, to, attentionResolutions.includes(resolution >> level));
      width = to;
    }
  }
  return total + norm(width) + conv(width, outChannels, 3);
}

describe('parameters', () => {
  test('ADM for ImageNet at 64 × 64 has 295.9 million parameters, as published', () => {
    // The exact number is the sum over the layers that the reference makes, worked out by hand as above.
    expect(tableOf(adm).trained).toBe(295_899_267);
    // Without its 1000 classes, a vector of 768 numbers each.
    expect(tableOf({ ...adm, labelDim: 0 }).trained).toBe(295_899_267 - 768_000);
    // iDDPM's second output of each colour: a 3 x 3 kernel over 192 channels and a bias.
    expect(tableOf({ ...adm, outChannels: 6 }).trained).toBe(295_899_267 + 3 * (192 * 9 + 1));
  });

  test('networks of the reference data have as many as PyTorch counted', () => {
    // The numbers that PyTorch gave for two small networks of the reference implementation.
    const common = { ...adm, resolution: 16, modelChannels: 16, blocks: 1 };
    expect(
      tableOf({ ...common, labelDim: 10, channelMult: [1, 1, 4], attentionResolutions: [8, 4], outChannels: 6 })
        .trained,
    ).toBe(682_214);
    expect(
      tableOf({
        ...common,
        labelDim: 0,
        augmentDim: 9,
        channelMult: [1, 4],
        channelMultEmbedding: 2,
        attentionResolutions: [8],
      }).trained,
    ).toBe(609_315);
  });

  test.each([
    ['small', small],
    ['for CIFAR-10', { ...adm, resolution: 32, labelDim: 10, augmentDim: 9 }],
    ['no attention', { ...small, attentionResolutions: [] }],
    ['too narrow for heads', { ...small, attentionResolutions: [8, 4], channelMultEmbedding: 2 }],
    ['one level', { ...small, channelMult: [3], modelChannels: 4, blocks: 2, attentionResolutions: [] }],
    ['twice the channels out', { ...small, outChannels: 6 }],
  ] as [string, DhariwalUNetConfig][])('%s: as counted by hand', (_, config) => {
    expect(tableOf(config).trained).toBe(countByHand(config));
    expect(tableOf(config).size).toBe(countByHand(config));
  });

  test('carry the names of the reference, in its order', () => {
    const names = tableOf(small).specs.map(({ name }) => name);
    expect(names.slice(0, 8)).toEqual([
      'map_augment.weight',
      'map_layer0.weight',
      'map_layer0.bias',
      'map_layer1.weight',
      'map_layer1.bias',
      'map_label.weight',
      'enc.8x8_conv.weight',
      'enc.8x8_conv.bias',
    ]);
    const layers = names.slice(6).map((name) => name.replace(/\.(weight|bias)$/, ''));
    const plain = ['norm0', 'conv0', 'affine', 'norm1', 'conv1'];
    const attention = ['norm2', 'qkv', 'proj'];
    const of = (block: string, ...parts: string[]): string[] => parts.map((part) => `${block}.${part}`);
    expect([...new Set(layers)]).toEqual([
      'enc.8x8_conv',
      ...of('enc.8x8_block0', ...plain),
      ...of('enc.4x4_down', ...plain),
      ...of('enc.4x4_block0', ...plain, 'skip', ...attention),
      ...of('dec.4x4_in0', ...plain, ...attention),
      ...of('dec.4x4_in1', ...plain),
      ...of('dec.4x4_block0', ...plain, 'skip', ...attention),
      ...of('dec.4x4_block1', ...plain, 'skip', ...attention),
      ...of('dec.8x8_up', ...plain),
      ...of('dec.8x8_block0', ...plain, 'skip'),
      ...of('dec.8x8_block1', ...plain, 'skip'),
      'out_norm',
      'out_conv',
    ]);
  });
});

describe('a new network', () => {
  const table = tableOf(small);
  const weights = initialize(table, 1);
  const views = viewsOf(table, weights);
  const largest = (values: ArrayLike<number>): number =>
    Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

  test('gives 0, whatever it is told', () => {
    const network = dhariwalUNet(fromFlat(table, constant(weights)).source, small);
    const x = constant(testValues(3 * 64), [1, 3, 8, 8], 'float32');
    const [y] = evaluate([network(x, constant([0.3]), { classLabels: constant([0, 1, 0, 0, 0], [1, 5]) })]);
    expect(y.shape).toEqual([1, 3, 8, 8]);
    expect(largest(y.data)).toBe(0);
  });

  test('starts with zeros in the last layer of each branch and in the layer for augmentations', () => {
    for (const [name, { data }] of views) {
      const isZero = /(conv1|proj|out_conv|map_augment)\.|norm\d?\.bias$/.test(name);
      expect(largest(data) === 0, name).toBe(isZero);
      if (/norm\d?\.weight$/.test(name))
        expect(
          data.every((value) => value === 1),
          name,
        ).toBe(true);
    }
  });

  test('draws the others uniformly within 1 / sqrt(fan-in), biases included, as PyTorch does by default', () => {
    const drawn: Record<'weight' | 'bias', number[]> = { weight: [], bias: [] };
    for (const [name, { data }] of views) {
      const [, layer, kind] = /^(.*)\.(weight|bias)$/.exec(name)!;
      if (/(norm\d?|conv1|proj|out_conv|map_augment|map_label)$/.test(layer)) continue;
      const fanIn = views
        .get(`${layer}.weight`)!
        .shape.slice(1)
        .reduce((product, size) => product * size, 1);
      drawn[kind as 'weight' | 'bias'].push(...Array.from(data, (value) => value * Math.sqrt(fanIn)));
    }
    for (const [kind, values] of Object.entries(drawn)) {
      const count = values.length;
      expect(count, kind).toBeGreaterThan(2000);
      const std = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / count);
      // Never outside but for rounding to float32; 2000 draws stay below 0.99 with probability 0.99^2000 = e^-20.
      expect(largest(values), kind).toBeLessThan(1 + 1e-6);
      expect(largest(values), kind).toBeGreaterThan(0.99);
      // Five standard errors of the standard deviation of a uniform law, whose kurtosis is 9/5.
      expect(Math.abs(std * Math.sqrt(3) - 1), kind).toBeLessThan(5 * Math.sqrt(0.8 / (4 * count)));
    }
  });

  test('draws the vectors of the classes from the unit normal law', () => {
    const { shape, data } = views.get('map_label.weight')!;
    expect(shape).toEqual([128, 5]);
    const std = Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0) / data.length);
    // Five standard errors of the standard deviation of a normal law; 640 draws.
    expect(Math.abs(std - 1)).toBeLessThan(5 / Math.sqrt(2 * data.length));
    expect(largest(data)).toBeGreaterThan(2);
  });
});

test('as many channels come out as are asked for', () => {
  const config = { ...small, outChannels: 6 };
  parameterTable((source) => {
    const y = dhariwalUNet(source, config)(input('x', [2, 3, 8, 8]), input('noise', [2]));
    expect(y.shape).toEqual([2, 6, 8, 8]);
  });
});

describe('refuses', () => {
  test('a resolution that does not halve often enough', () => {
    const odd = { ...adm, resolution: 36 };
    expect(() => tableOf(odd)).toThrow(UsageError);
    expect(() => tableOf(odd)).toThrow('resolution must be divisible by 8 for 4 levels, got 36');
  });

  test('channels that do not divide into heads', () => {
    const odd = { ...adm, modelChannels: 224, attentionResolutions: [64] };
    expect(() => tableOf(odd)).toThrow(UsageError);
    expect(() => tableOf(odd)).toThrow('channels that attend must be divisible by their 3 heads, got 224');
    // 320 channels are 5 heads of 64.
    expect(() => tableOf({ ...odd, modelChannels: 320 })).not.toThrow();
  });

  test('an image of other channels', () => {
    parameterTable((source) => {
      const network = dhariwalUNet(source, small);
      expect(() => network(input('x', [1, 4, 8, 8]), input('noise', [1]))).toThrow(ShapeError);
    });
  });
});

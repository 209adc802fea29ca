import { describe, expect, test } from 'vitest';
import { constant, evaluate, formatShape, input } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import { adm, augmentDimOf, buildNetwork, ddpmpp, ncsnpp, sampleShapeOf } from '../../src/networks/index.ts';
import type { Conditions, DhariwalUNetConfig, NetworkConfig, SongUNetConfig } from '../../src/networks/index.ts';
import { fromFlat, initialize, parameterTable } from '../../src/nn/index.ts';
import { planDropout } from '../../src/training/dropout.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const tiny: SongUNetConfig = {
  ...ddpmpp,
  resolution: 4,
  modelChannels: 4,
  channelMult: [1, 2],
  blocks: 1,
  attentionResolutions: [2],
  dropout: 0,
};

/** Wide enough for one head at 2 × 2. */
const tinyAdm: DhariwalUNetConfig = {
  ...adm,
  resolution: 4,
  modelChannels: 16,
  channelMult: [1, 4],
  channelMultEmbedding: 1,
  blocks: 1,
  attentionResolutions: [2],
  dropout: 0,
  labelDim: 0,
};

const perceptron: NetworkConfig = {
  kind: 'mlp',
  sampleShape: [3, 2],
  width: 8,
  blocks: 2,
  labelDim: 0,
  labelDropout: 0,
  dropout: 0,
};

/** The network with its weights as constants, some of them larger than they start, so that every branch counts. */
function made(config: NetworkConfig): (x: Tensor, noiseLabel: Tensor, conditions?: Conditions) => Tensor {
  const table = parameterTable((source) => buildNetwork(source, config));
  const weights = initialize(table, 1).map((value, i) => value + 0.1 * Math.sin(i));
  return buildNetwork(fromFlat(table, constant(weights)).source, config);
}

const run = (config: NetworkConfig, batch: number, seeds: readonly number[], conditions?: Conditions): Float64Array => {
  const shape = sampleShapeOf(config);
  const size = shape.reduce((a, b) => a * b, 1);
  const x = Float32Array.from(seeds.flatMap((seed) => [...testValues(size, [-1, 1], seed)]));
  const labels = Float32Array.from(seeds, (seed) => seed / 10);
  return evaluate([made(config)(constant(x, [batch, ...shape]), constant(labels), conditions)])[0].data;
};

test.each([
  ['mlp', perceptron],
  ['ddpmpp', tiny],
  ['ncsnpp', { ...ncsnpp, ...tiny, embedding: 'fourier', encoder: 'residual', resampleFilter: [1, 3, 3, 1] }],
  ['adm', tinyAdm],
  ['skip', { ...tiny, encoder: 'skip', decoder: 'skip' }],
] as [string, NetworkConfig][])('%s treats every sample by itself', (_, config) => {
  const both = run(config, 2, [1, 2]);
  // The same float64 operations on the same numbers: not even rounding differs.
  expect([...both]).toEqual([...run(config, 1, [1]), ...run(config, 1, [2])]);
  expect(both.some((value) => Math.abs(value) > 1e-3)).toBe(true);
});

test('the result has the shape of the input', () => {
  for (const config of [perceptron, tiny, tinyAdm]) {
    const shape = [3, ...sampleShapeOf(config)];
    parameterTable((source) => {
      const y = buildNetwork(source, config)(input('x', shape), input('noise', [3]));
      expect(formatShape(y.shape)).toBe(formatShape(shape));
    });
  }
  expect(augmentDimOf({ ...tiny, augmentDim: 9 })).toBe(9);
  expect(augmentDimOf({ ...tinyAdm, augmentDim: 4 })).toBe(4);
  expect(augmentDimOf(perceptron)).toBe(0);
});

test('the MLP reads a sample of any shape as one vector', () => {
  const flat = run({ ...perceptron, sampleShape: [6] }, 1, [3]);
  expect(flat).toEqual(run(perceptron, 1, [3]));
});

describe.each([
  ['ddpmpp', { ...tiny, labelDim: 3, augmentDim: 2 }],
  ['adm', { ...tinyAdm, labelDim: 3, augmentDim: 2 }],
] as [string, NetworkConfig][])('conditions of %s', (_, conditional) => {
  test('no class is a row of zeros; no augmentation is a row of zeros', () => {
    const none = run(conditional, 1, [1]);
    const zeros = { classLabels: constant(0, [1, 3]), augmentLabels: constant(0, [1, 2]) };
    expect(run(conditional, 1, [1], zeros)).toEqual(none);
  });

  test('each of them changes the result', () => {
    const none = run(conditional, 1, [1]);
    const moved = (conditions: Conditions): number =>
      run(conditional, 1, [1], conditions).reduce((most, value, i) => Math.max(most, Math.abs(value - none[i])), 0);
    expect(moved({ classLabels: constant([0, 1, 0], [1, 3]) })).toBeGreaterThan(1e-6);
    expect(moved({ augmentLabels: constant([0.5, 0], [1, 2]) })).toBeGreaterThan(1e-6);
  });
});

test('the MLP takes sqrt(labelDim) times the one-hot row of a class', () => {
  // With W of the label's projection all 0 but for the bias, only the bias is left, whatever the class.
  const config: NetworkConfig = { ...perceptron, labelDim: 4 };
  const table = parameterTable((source) => buildNetwork(source, config));
  const weights = initialize(table, 1);
  const column = weights.slice();
  const offset = table.offsets.get('map_label.weight')!;
  column.fill(0, offset, offset + 4 * 8);
  const y = (values: Float32Array, labels: readonly number[]): Float64Array => {
    const network = buildNetwork(fromFlat(table, constant(values)).source, config);
    const x = constant(testValues(6), [1, 3, 2], 'float32');
    return evaluate([network(x, constant([0.3]), { classLabels: constant(labels, [1, 4]) })])[0].data;
  };
  expect(y(column, [0, 1, 0, 0])).toEqual(y(column, [0, 0, 0, 0]));
  // One-hot times 2 = sqrt(4): half a label and doubled weights are the same.
  const doubled = weights.slice();
  for (let i = offset; i < offset + 32; i++) doubled[i] *= 2;
  expectClose(y(doubled, [0, 0.5, 0, 0]), y(weights, [0, 1, 0, 0]), { relative: 1e-12 });
});

describe('dropout', () => {
  /** Elements of a sample that the network may drop. */
  const dropped = (config: NetworkConfig): number => {
    let plan = 0;
    parameterTable((source) => {
      const network = buildNetwork(source, config);
      const x = input('x', [2, ...sampleShapeOf(config)]);
      plan = planDropout(2, 0.5, (dropout) => network(x, input('noise', [2]), { dropout })).perSample;
    });
    return plan;
  };

  test('drops once in every residual block, before its second convolution', () => {
    // Widths 4 at 4 × 4 and 8 at 2 × 2. Encoder: one block, the down block (4 channels at 2 × 2), one block. Decoder:
    // in0, in1 and two blocks at 2 × 2, the up block (8 channels at 4 × 4), two blocks at 4 × 4.
    const encoder = 4 * 16 + 4 * 4 + 8 * 4;
    const decoder = 4 * (8 * 4) + 8 * 16 + 2 * (4 * 16);
    expect(dropped(tiny)).toBe(encoder + decoder);
    expect(dropped(perceptron)).toBe(2 * 8);
    // ADM with widths 16 and 64, in the same places.
    expect(dropped(tinyAdm)).toBe(16 * 16 + 16 * 4 + 64 * 4 + 4 * (64 * 4) + 64 * 16 + 2 * (16 * 16));
  });
});

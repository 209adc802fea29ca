import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { constant, evaluate, input, printGraph } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import {
  convolution,
  fourierEmbedding,
  groupNorm,
  linear,
  parameterTable,
  positionalEmbedding,
  scope,
} from '../../src/nn/index.ts';
import type { Initialization, Layer, ParameterSource, WeightInitialization } from '../../src/nn/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const initialization = { mode: 'kaiming_normal' } as const;

/** Parameters as constants of given values, in float64. */
const source = (values: Readonly<Record<string, readonly number[]>>): ParameterSource => {
  const get = (name: string, shape: readonly number[]): Tensor => constant(values[name], shape, 'float64');
  return { get, buffer: get };
};

const names = (build: (source: ParameterSource) => unknown): string[] =>
  parameterTable(build).specs.map(({ name, shape }) => `${name} [${shape.join(', ')}]`);

test('linear is x Wᵀ + b', () => {
  const layer = linear(source({ weight: [1, 2, 3, 4, 5, 6], bias: [10, 20] }), {
    inFeatures: 3,
    outFeatures: 2,
    initialization,
  });
  const [y] = evaluate([layer(constant([1, 0, -1], [1, 3], 'float64'))]);
  expect(y).toEqual({ shape: [1, 2], data: Float64Array.of(1 - 3 + 10, 4 - 6 + 20) });
  expect(names((s) => linear(s, { inFeatures: 3, outFeatures: 2, initialization, bias: false }))).toEqual([
    'weight [2, 3]',
  ]);
});

test('weights and biases start with the same law, each with its scale; a scale of 0 is a constant', () => {
  const startsOf = (start: WeightInitialization): Initialization[] => {
    const layers = (s: ParameterSource): void => {
      linear(scope(s, 'linear'), { inFeatures: 3, outFeatures: 2, initialization: start });
      convolution(scope(s, 'convolution'), { inChannels: 3, outChannels: 2, kernel: 3, initialization: start });
    };
    return parameterTable(layers).specs.map(({ initialization: found }) => found);
  };
  const zero = { kind: 'constant', value: 0 };
  const mode = 'kaiming_uniform';
  const draw = (scale: number) => [
    { kind: mode, fanIn: 3, fanOut: 2, scale },
    { kind: mode, fanIn: 27, fanOut: 18, scale },
  ];
  const [dense, spatial] = draw(1);
  expect(startsOf({ mode })).toEqual([dense, zero, spatial, zero]);
  const [denseBias, spatialBias] = draw(0.5);
  expect(startsOf({ mode, biasScale: 0.5 })).toEqual([dense, denseBias, spatial, spatialBias]);
  expect(startsOf({ mode, scale: 0 })).toEqual([zero, zero, zero, zero]);
});

describe('convolution', () => {
  const options = { inChannels: 2, outChannels: 3, kernel: 3, initialization };
  const shapeOf = (layer: (s: ParameterSource) => Layer): readonly number[] => {
    let shape: readonly number[] = [];
    parameterTable((s) => (shape = layer(s)(input('x', [1, 2, 8, 8])).shape));
    return shape;
  };

  test('keeps the size, halves it or doubles it', () => {
    for (const filter of [
      [1, 1],
      [1, 3, 3, 1],
    ]) {
      expect(shapeOf((s) => convolution(s, { ...options, filter }))).toEqual([1, 3, 8, 8]);
      expect(shapeOf((s) => convolution(s, { ...options, filter, resample: 'down' }))).toEqual([1, 3, 4, 4]);
      expect(shapeOf((s) => convolution(s, { ...options, filter, resample: 'down', fused: true }))).toEqual([
        1, 3, 4, 4,
      ]);
      expect(shapeOf((s) => convolution(s, { ...options, filter, resample: 'up' }))).toEqual([1, 3, 16, 16]);
    }
  });

  test('a kernel of 0 only changes the resolution and has no parameters', () => {
    expect(names((s) => convolution(s, { ...options, kernel: 0, resample: 'down' }))).toEqual([]);
    expect(names((s) => convolution(s, options))).toEqual(['weight [3, 2, 3, 3]', 'bias [3]']);
  });

  test('halving a constant image and adding the bias keeps it constant', () => {
    // A kernel whose centre tap is 1 copies the image; the filter's taps sum to 1.
    const weight = [0, 0, 0, 0, 1, 0, 0, 0, 0];
    for (const fused of [false, true]) {
      const layer = convolution(source({ weight, bias: [0.5] }), {
        inChannels: 1,
        outChannels: 1,
        kernel: 3,
        initialization,
        resample: 'down',
        filter: [1, 1],
        fused,
      });
      const [y] = evaluate([layer(constant(2, [1, 1, 4, 4], 'float64'))]);
      expect([...y.data]).toEqual([2.5, 2.5, 2.5, 2.5]);
    }
  });
});

describe('groupNorm', () => {
  /** Groups that the layer makes of so many channels. */
  const groupsOf = (channels: number): number => {
    let text = '';
    parameterTable((s) => (text = printGraph([groupNorm(s, { channels })(input('x', [1, channels, 2]))])));
    return Number(/groupStatistics\(%\d+\) \{"groups":(\d+)/.exec(text)![1]);
  };

  test('makes groups of at least 4 channels, and at most 32 of them', () => {
    expect([4, 8, 12, 64, 128, 256, 384].map(groupsOf)).toEqual([1, 2, 3, 16, 32, 32, 32]);
  });

  test('refuses channels that do not divide', () => {
    for (const channels of [2, 14, 132]) expect(() => groupsOf(channels), String(channels)).toThrow(ShapeError);
  });

  test('gives each group mean beta and standard deviation gamma', () => {
    const [channels, pixels] = [8, 9];
    const layer = groupNorm(source({ weight: new Array<number>(8).fill(3), bias: new Array<number>(8).fill(-1) }), {
      channels,
      epsilon: 0,
    });
    const x = constant(testValues(2 * channels * pixels, [4, 5]), [2, channels, pixels], 'float64');
    const [y] = evaluate([layer(x)]);
    for (let group = 0; group < 4; group++) {
      const values = y.data.subarray(group * 4 * pixels, (group + 1) * 4 * pixels);
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
      // 36 values around 4.5 centred: rounding of 4.5 · 2^-53 over a spread of 0.3, some 1e-14.
      expectClose([mean, variance], [-1, 9], { absolute: 1e-12 });
    }
  });
});

describe('embeddings', () => {
  test('positional: cosines, then sines, of frequencies from 1 to 1 / 10000', () => {
    const labels = [0, 0.5, -3];
    const [channels, half] = [8, 4];
    const [plain, endpoint] = [false, true].map(
      (each) => evaluate([positionalEmbedding(channels, { endpoint: each })(constant(labels))])[0],
    );
    // Vaswani et al. 2017: frequency k is 10000^(-2k / channels); DDPM divides by channels / 2 - 1 instead.
    const formula = (divisor: number): number[] =>
      labels.flatMap((label) => {
        const angles = Array.from({ length: half }, (_, k) => label * 10000 ** (-k / divisor));
        return [...angles.map(Math.cos), ...angles.map(Math.sin)];
      });
    expect(plain.shape).toEqual([3, channels]);
    // Frequencies are float32: angles up to 3 are off by 3 · 2^-25 = 9e-8.
    expectClose(plain.data, formula(half), { absolute: 1e-7 });
    expectClose(endpoint.data, formula(half - 1), { absolute: 1e-7 });
  });

  test('Fourier: the frequencies are a buffer', () => {
    const layer = fourierEmbedding(source({ freqs: [0.25, 2] }), 4);
    const [y] = evaluate([layer(constant([1, 0.125], [2], 'float64'))]);
    const angles = [0.25, 2, 0.03125, 0.25].map((turns) => 2 * Math.PI * turns);
    const [a, b, c, d] = angles;
    const row = (...pair: number[]): number[] => [...pair.map(Math.cos), ...pair.map(Math.sin)];
    expectClose(y.data, [...row(a, b), ...row(c, d)], { absolute: 1e-14 });
    const table = parameterTable((s) => fourierEmbedding(s, 4));
    expect(table.specs[0]).toMatchObject({
      name: 'freqs',
      trained: false,
      initialization: { kind: 'normal', std: 16 },
    });
    expect(table.trained).toBe(0);
  });
});

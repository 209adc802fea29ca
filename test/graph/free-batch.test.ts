import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { FormatError, ShapeError } from '../../src/errors.ts';
import {
  add,
  broadcastTo,
  cast,
  concat,
  constant,
  evaluate,
  gather,
  input,
  iterationInput,
  loopToOnnx,
  matmul,
  mean,
  mul,
  pad,
  readOnnxMetadata,
  reshape,
  sizeOf,
  slice,
  softmax,
  sum,
  toFloat64,
  toOnnxForAnyBatch,
  transpose,
} from '../../src/graph/index.ts';
import type { BuildForBatch, Tensor } from '../../src/graph/index.ts';
import { ModelProtoSchema } from '../../src/graph/onnx/onnx_pb.ts';
import type { GraphProto } from '../../src/graph/onnx/onnx_pb.ts';
import { optionsFor } from '../../src/node/onnxruntime.ts';
import { openModel } from '../../src/runtime/index.ts';
import type { ModelInput } from '../../src/runtime/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const { sessionOptions } = optionsFor({ threads: 1 });

/** Runs a model file. */
async function run(model: Uint8Array, inputs: Record<string, ModelInput>) {
  const opened = await openModel(ort, model, sessionOptions);
  return opened.run(inputs).finally(() => opened.release());
}

const floats = (shape: number[], data: Float64Array | number[]): ModelInput => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(data),
});

const graphOf = (model: Uint8Array): GraphProto => fromBinary(ModelProtoSchema, model).graph!;

const makeX = (batch: number): Tensor => input('x', [batch, 3, 4]);

/** Expressions of x [batch, 3, 4], in each of which another thing depends on the batch size. */
const expressions: Record<string, (x: Tensor, batch: number) => Tensor> = {
  'a shape with one free dimension': (x, n) => reshape(x, [n * 2, 6]),
  'a shape with the batch in the middle': (x, n) =>
    reshape(transpose(reshape(x, [n, 3, 2, 2]), [2, 0, 1, 3]), [2, n, 6]),
  'a shape of two free dimensions': (x, n) => {
    const product = matmul(reshape(x, [n, 12]), reshape(x, [n, 12]), { transposeB: true });
    return reshape(product, [n, 1, n]);
  },
  'a scalar spread over the batch': (x, n) => mul(x, broadcastTo(sum(x), [n, 3, 1])),
  'a row spread over the batch': (x, n) => add(x, broadcastTo(mean(x, 0, true), [n, 3, 4])),
  'a constant for every sample': (x, n) => matmul(constant(2, [n, 1, 3]), x),
  'a constant that repeats for every sample': (x, n) => {
    const row = [1, -2, 0.5, 3];
    return matmul(
      x,
      reshape(
        constant(
          Array.from({ length: 4 * n }, (_, i) => row[i % 4]),
          [n, 4],
        ),
        [n, 4, 1],
      ),
    );
  },
  'places from the end of the batch on': (x, n) => slice(concat([x, x], 0), 0, n, 2 * n),
  'one sample more': (x, n) => slice(pad(x, 0, 1, 0), 0, 0, n + 1),
  'a softmax over the batch': (x) => softmax(transpose(x, [1, 2, 0])),
  'the batch as a dimension of nothing else': (x) => gather(x, constant([2, 0], [2], 'int64'), 1),
};

test.each(Object.keys(expressions))('%s runs at any batch size', async (name) => {
  const build: BuildForBatch = (batch) => ({ y: expressions[name](makeX(batch), batch) });
  const model = toOnnxForAnyBatch(build);
  expect(graphOf(model).node.every(({ domain }) => domain === '')).toBe(true);
  for (const batch of [1, 2, 5]) {
    const data = Float32Array.from(testValues(batch * 12));
    const { y } = build(batch);
    const source = [...new Set(inputsOf(y))];
    const [expected] = evaluate([y], new Map(source.map((each) => [each, toFloat64(data)])));
    const result = await run(model, { x: floats([batch, 3, 4], [...data]) });
    // A few roundings of 2^-24, in sums of at most 60 values.
    expectClose(toFloat64(result.y), expected.data, { relative: 4e-6, absolute: 1e-6 }, `${name}, batch ${batch}`);
  }
});

/** The graph inputs that a tensor depends on. */
const inputsOf = (tensor: Tensor): Tensor[] =>
  tensor.primitive.name === 'input' ? [tensor] : tensor.inputs.flatMap(inputsOf);

test('random graphs give the same at any batch size', async () => {
  const steps: ((a: Tensor, n: number) => Tensor)[] = [
    (a, n) => reshape(reshape(a, [n * 6]), [n, 6]),
    (a, n) => add(a, broadcastTo(sum(a, 1, true), [n, 6])),
    (a) => transpose(transpose(a, [1, 0]), [1, 0]),
    (a, n) => mul(a, constant(0.5, [n, 1])),
    (a, n) => slice(concat([a, constant(1, [n, 2])], 1), 1, 1, 7),
    (a, n) => reshape(transpose(reshape(a, [n, 2, 3]), [1, 0, 2]), [2 * n, 3]),
    (a) => add(softmax(a), broadcastTo(mean(a, 0, true), a.shape)),
  ];
  const graphs = fc.array(fc.nat(steps.length - 1), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(graphs, fc.integer({ min: 1, max: 9 }), async (choices, batch) => {
      const build: BuildForBatch = (n) => {
        let value = input('x', [n, 6]);
        for (const choice of choices) value = reshape(steps[choice](value, n), [n, 6]);
        return { y: mul(value, 1.5) };
      };
      const data = Float32Array.from(testValues(batch * 6));
      const { y } = build(batch);
      const feeds = new Map([...new Set(inputsOf(y))].map((each) => [each, toFloat64(data)] as const));
      const result = await run(toOnnxForAnyBatch(build), { x: floats([batch, 6], [...data]) });
      expectClose(toFloat64(result.y), evaluate([y], feeds)[0].data, { relative: 1e-5, absolute: 1e-6 });
    }),
    { numRuns: 25, seed: 5 },
  );
});

describe('what no file can do for any batch is refused', () => {
  const refusals: Record<string, [BuildForBatch, RegExp]> = {
    'a factor that depends on it': [(n) => ({ y: mul(makeX(n), 1 / n) }), /^graph: the node Mul "v\d+" has a constant/],
    'a constant of its own for every sample': [
      (n) => ({
        y: add(
          makeX(n),
          constant(
            Float32Array.from({ length: n }, (_, i) => i),
            [n, 1, 1],
          ),
        ),
      }),
      /has a constant that depends on the batch size/,
    ],
    'a shape that is no multiple': [
      (n) => ({ y: broadcastTo(sum(makeX(n), [0, 1, 2], true), [n * n, 3, 4]) }),
      /has a constant that depends on the batch size/,
    ],
    'another operator': [
      (n) => ({ y: n % 4 === 1 ? mul(makeX(n), 2) : add(makeX(n), 2) }),
      /the node Mul .* depends on/,
    ],
    'more operators': [(n) => ({ y: n > 1009 ? mul(add(makeX(n), 1), 2) : mul(makeX(n), 2) }), /has other nodes/],
    'another operand': [
      (n) => ({ y: n > 1009 ? mul(makeX(n), input('z', [n, 3, 4])) : mul(input('z', [n, 3, 4]), makeX(n)) }),
      /has no input|reads something else|other nodes/,
    ],
    'no input that tells it': [(n) => ({ y: broadcastTo(input('z', [3]), [n, 3]) }), /no input has the batch size/],
  };
  test.each(Object.keys(refusals))('%s', (name) => {
    const [build, message] = refusals[name];
    expect(() => toOnnxForAnyBatch(build)).toThrow(ShapeError);
    expect(() => toOnnxForAnyBatch(build)).toThrow(message);
  });
});

test('a fixed dimension is not taken for the batch, whatever its length', async () => {
  // 1009 is the first of the sizes at which graphs are lowered.
  const build: BuildForBatch = (n) => {
    const [row, x] = [input('row', [1009]), input('x', [n, 1009])];
    return { y: broadcastTo(sum(mul(x, row)), [n, 2]), z: reshape(x, [n, 1, 1009]) };
  };
  const { y, z } = await run(toOnnxForAnyBatch(build), {
    row: floats([1009], new Float64Array(1009).fill(1)),
    x: floats([3, 1009], new Float64Array(3027).fill(1)),
  });
  expect([...y]).toEqual([3027, 3027, 3027, 3027, 3027, 3027]);
  expect(z).toHaveLength(3027);
});

test('weights are constants under their names, and must fit', async () => {
  const build: BuildForBatch = (n) => ({ y: matmul(input('x', [n, 2]), input('net.weight', [2, 3])) });
  const data = Float32Array.of(1, 2, 3, 4, 5, 6);
  const model = toOnnxForAnyBatch(build, { weights: new Map([['net.weight', { shape: [2, 3], data }]]) });
  const graph = graphOf(model);
  expect(graph.input.map(({ name }) => name)).toEqual(['x']);
  expect(graph.initializer.map(({ name }) => name)).toContain('net.weight');
  expect([...(await run(model, { x: floats([1, 2], [1, 10]) })).y]).toEqual([41, 52, 63]);
  for (const wrong of [
    { shape: [3, 2], data },
    { shape: [2, 3], data: data.subarray(1) },
  ])
    expect(() => toOnnxForAnyBatch(build, { weights: new Map([['net.weight', wrong]]) })).toThrow(
      'weight "net.weight" must have shape [2, 3]',
    );
});

test('metadata are read back, and other files are refused', () => {
  const metadata = { name: 'Größe', license: 'CC0-1.0', steps: '18' };
  expect(readOnnxMetadata(toOnnxForAnyBatch((n) => ({ y: mul(makeX(n), 2) }), { metadata }))).toEqual(metadata);
  expect(() => readOnnxMetadata(Uint8Array.of(1, 2, 3))).toThrow(FormatError);
});

describe('a loop', () => {
  /** a and b follow a' = a w + b, b' = b + shift + iteration: a recurrence with two carried values and an outer input. */
  const loop = {
    count: 6,
    start: (n: number) => {
      const x = input('x', [n, 2]);
      return { a: mul(x, 2), b: x };
    },
    step: (n: number) => {
      const [a, b] = [input('a', [n, 2]), input('b', [n, 2])];
      const order = cast(input(iterationInput, [], 'int64'), 'float32');
      const shift = broadcastTo(input('shift', [n, 1]), [n, 2]);
      return { a: add(mul(a, input('w', [2])), b), b: add(add(b, shift), order) };
    },
    finish: (n: number) => ({ y: add(input('a', [n, 2]), 1) }),
  };
  const w = Float32Array.of(0.5, -0.25);
  const weights = new Map([['w', { shape: [2], data: w }]]);

  test('does what the recurrence says', async () => {
    const model = loopToOnnx(loop, { weights });
    for (const batch of [1, 4]) {
      const data = testValues(2 * batch).map(Math.fround);
      const shift = testValues(batch, [-1, 1], 3).map(Math.fround);
      const expected = data.map((value, i) => {
        let [a, b] = [2 * value, value];
        for (let k = 0; k < loop.count; k++) [a, b] = [a * w[i % 2] + b, b + shift[i >> 1] + k];
        return a + 1;
      });
      const { y } = await run(model, { x: floats([batch, 2], data), shift: floats([batch, 1], shift) });
      // Six steps of four roundings of 2^-24 each.
      expectClose(toFloat64(y), expected, { relative: 2e-6 }, `batch ${batch}`);
    }
  });

  test('has the step and its weights once, and every name once', () => {
    const graph = graphOf(loopToOnnx(loop, { weights }));
    const loops = graph.node.filter(({ opType }) => opType === 'Loop');
    expect(loops).toHaveLength(1);
    const body = loops[0].attribute[0].g!;
    expect(body.initializer.filter(({ name }) => name === 'w')).toHaveLength(1);
    const defined = [graph, body].flatMap((each) => [
      ...each.input.map(({ name }) => name),
      ...each.initializer.map(({ name }) => name),
      ...each.node.flatMap(({ output }) => output),
    ]);
    expect(new Set(defined).size).toBe(defined.length);
    expect(graph.input.map(({ name }) => name)).toEqual(['x', 'shift']);
  });

  test('carries on what it began with, of the same shape, under names of its own', () => {
    const step = (change: (values: Record<string, Tensor>) => Record<string, Tensor>) => ({
      ...loop,
      step: (n: number) => change(loop.step(n)),
    });
    expect(() =>
      loopToOnnx(
        step(({ a }) => ({ a })),
        { weights },
      ),
    ).toThrow('the step does not carry "b" on');
    expect(() =>
      loopToOnnx(
        step(({ a, b }) => ({ a, b: slice(b, 1, 0, 1) })),
        { weights },
      ),
    ).toThrow('changes the shape or the element type of "b"');
    expect(() => loopToOnnx({ ...loop, finish: (n) => ({ b: mul(input('a', [n, 2]), 1.5) }) }, { weights })).toThrow(
      '"b" is carried from step to step',
    );
    expect(() =>
      loopToOnnx({ ...loop, finish: (n) => ({ y: mul(input('a', [n, 2]), input('w', [2])) }) }, { weights }),
    ).toThrow('only the step may read weights, and "w" is one');
  });
});

test('the sizes at which graphs are lowered do not show in a file', () => {
  const numbers = graphOf(toOnnxForAnyBatch((n) => ({ y: expressions['a row spread over the batch'](makeX(n), n) })))
    .initializer.filter(({ dims }) => sizeOf(dims.map(Number)) < 10)
    .flatMap(({ rawData, dataType }) => (dataType === 7 ? [...new BigInt64Array(rawData.slice().buffer)] : []));
  expect(numbers.some((each) => each > 1000n)).toBe(false);
});

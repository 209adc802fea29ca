import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import {
  add,
  cast,
  concat,
  constant,
  conv2d,
  div,
  downsample2d,
  evaluate,
  exp,
  gather,
  gradients,
  greater,
  groupNorm,
  input,
  largestIndices,
  matmul,
  max,
  maximum,
  mean,
  mul,
  printGraph,
  reshape,
  silu,
  sizeOf,
  slice,
  softmax,
  square,
  stopGradient,
  sub,
  sum,
  transpose,
  upsample2d,
} from '../../src/graph/index.ts';
import type { Shape, Tensor } from '../../src/graph/index.ts';
import { apply } from '../../src/graph/tensor.ts';
import type { Primitive } from '../../src/graph/tensor.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';
import { numbersArbitrary, randomGraph, valuesFor } from './random-graph.ts';

/** An operator without a vector-Jacobian product. */
const rounding: Primitive<Record<string, never>> = {
  name: 'rounding',
  infer: ([{ shape, dtype }]) => ({ shape, dtype }),
  evaluate: ([x]) => x.data.map(Math.round),
  lower: (onnx, [x]) => onnx.node('Round', [x]),
  examples: [],
};

type Feeds = Map<Tensor, Float64Array>;

const double = (name: string, shape: Shape): Tensor => input(name, shape, 'float64');

const valuesOf = (inputs: readonly Tensor[]): Feeds =>
  new Map(inputs.map((each, i) => [each, testValues(sizeOf(each.shape), [-1, 1], i + 1)]));

/** Derivatives of a scalar by every element of `by`, from central differences of step eps^(1/3). */
function centralDifferences(scalar: Tensor, by: Tensor, feeds: Feeds): Float64Array {
  const h = Math.cbrt(Number.EPSILON);
  const at = feeds.get(by)!;
  return at.map((value, element) => {
    const side = (moved: number): number => {
      const data = Float64Array.from(at);
      data[element] = moved;
      return evaluate([scalar], new Map([...feeds, [by, data]]))[0].data[0];
    };
    return (side(value + h) - side(value - h)) / (2 * h);
  });
}

/** Central differences err by h² f''' + eps f / h, some 1e-10 at h = 6e-6; the rest is room for large third derivatives. */
const tolerance = { relative: 1e-7, absolute: 1e-9 };

function checkGradients(loss: Tensor, inputs: readonly Tensor[]): void {
  const feeds = valuesOf(inputs);
  evaluate(gradients(loss, inputs), feeds).forEach((exact, i) => {
    expect(exact.shape).toEqual(inputs[i].shape);
    expectClose(exact.data, centralDifferences(loss, inputs[i], feeds), tolerance, `by input ${i}`);
  });
}

describe('composite expressions against central differences', () => {
  test('two convolutions with group normalisation, SiLU and a change of resolution', () => {
    const x = double('x', [2, 4, 4, 4]);
    const [w0, b0, gamma, beta, w1] = [[4, 4, 3, 3], [4], [4], [4], [2, 4, 1, 1]].map((shape, i) =>
      double(`p${i}`, shape),
    );
    const first = conv2d(downsample2d(x, [1, 3, 3, 1]), w0, { padding: 1, bias: b0 });
    const normal = groupNorm(first, gamma, beta, { groups: 2, epsilon: 1e-5 });
    const second = conv2d(upsample2d(silu(normal), [1, 1]), w1);
    checkGradients(mean(square(sub(second, 0.3))), [x, w0, b0, gamma, beta, w1]);
  });

  test('attention: softmax of a product of projections', () => {
    const x = double('x', [2, 3, 4]);
    const w = double('w', [4, 12]);
    const qkv = matmul(x, w);
    const [q, k, v] = [0, 4, 8].map((start) => slice(qkv, 2, start, start + 4));
    const mixed = matmul(softmax(mul(matmul(q, k, { transposeB: true }), 0.5)), v);
    checkGradients(sum(mul(mixed, transpose(mixed, [0, 1, 2]))), [x, w]);
  });

  test('a value used along many paths collects them all', () => {
    const x = double('x', [2, 3]);
    const y = add(mul(x, x), sum(x, 1, true));
    const loss = sum(div(concat([y, exp(x), x], 0), add(square(concat([x, y, y], 0)), 1)));
    checkGradients(loss, [x]);
  });
});

test('random graphs: exact and numeric gradients agree', () => {
  fc.assert(
    fc.property(randomGraph(), numbersArbitrary, (graph, numbers) => {
      // Kinks (maximum, where) and stopGradient have no derivative to compare with.
      const text = printGraph(graph.outputs);
      fc.pre(!/maximum|where|stopGradient/.test(text));
      const feeds = valuesFor(graph, numbers);
      const loss = graph.outputs.map((each) => mean(each)).reduce(add);
      const [value] = evaluate([loss], feeds)[0].data;
      fc.pre(Math.abs(value) < 100);
      evaluate(gradients(loss, graph.inputs), feeds).forEach((exact, i) => {
        const numeric = centralDifferences(loss, graph.inputs[i], feeds);
        // Products nest up to ten deep, so third derivatives reach 1e4 times the value: 1e-6 of the largest entry.
        expectClose(exact.data, numeric, { relative: 1e-5, absolute: 1e-6 }, text);
      });
    }),
    { numRuns: 60 },
  );
});

describe('second derivatives', () => {
  const hessianVector = (loss: Tensor, by: Tensor, direction: Tensor): Tensor =>
    sum(mul(gradients(loss, [by])[0], direction));

  test('the gradient of a gradient of a strided convolution', () => {
    const x = double('x', [1, 2, 5, 5]);
    const w = double('w', [2, 2, 3, 3]);
    const v = double('v', w.shape);
    const loss = sum(silu(conv2d(x, w, { stride: 2, padding: 1 })));
    checkGradients(hessianVector(loss, w, v), [x, w, v]);
  });

  test('through group normalisation and softmax', () => {
    const x = double('x', [1, 4, 2, 2]);
    const gamma = double('gamma', [4]);
    const beta = double('beta', [4]);
    const v = double('v', x.shape);
    const normal = groupNorm(x, gamma, beta, { groups: 2, epsilon: 1e-2 });
    const loss = sum(square(softmax(reshape(normal, [4, 4]))));
    checkGradients(hessianVector(loss, x, v), [x, gamma, beta, v]);
  });

  test('of x⁴ is 12 x²', () => {
    const x = double('x', [3]);
    const [first] = gradients(sum(square(square(x))), [x]);
    const [second] = gradients(sum(first), [x]);
    const values = Float64Array.of(-1, 0.5, 2);
    // Small integers and halves: every operation is exact.
    expect(evaluate([second], new Map([[x, values]]))[0].data).toEqual(values.map((each) => 12 * each * each));
  });
});

describe('rules', () => {
  test('what the loss does not depend on has gradient zero, in its own shape and type', () => {
    const x = double('x', [2]);
    const other = input('other', [3, 1]);
    const [, zero] = gradients(sum(x), [x, other]);
    expect([zero.shape, zero.dtype]).toEqual([[3, 1], 'float32']);
    expect(evaluate([zero])[0].data).toEqual(Float64Array.of(0, 0, 0));
  });

  test('no gradient flows through stopGradient, comparisons used as masks, or indices', () => {
    const x = double('x', [3]);
    const values = Float64Array.of(1, -2, 3);
    const by = (loss: Tensor): number[] => [...evaluate(gradients(loss, [x]), new Map([[x, values]]))[0].data];
    expect(by(sum(mul(stopGradient(x), x)))).toEqual([1, -2, 3]);
    expect(by(sum(mul(cast(greater(x, 0), 'float64'), x)))).toEqual([1, 0, 1]);
    expect(by(sum(mul(x, cast(cast(x, 'int64'), 'float64'))))).toEqual([1, -2, 3]);
    expect(by(sum(gather(x, largestIndices(x, 1))))).toEqual([0, 0, 1]);
  });

  test('ties of a maximum share the gradient', () => {
    const x = double('x', [4]);
    const feeds = new Map([[x, Float64Array.of(2, 1, 2, 0)]]);
    expect(evaluate(gradients(max(x), [x]), feeds)[0].data).toEqual(Float64Array.of(0.5, 0, 0.5, 0));
    expect(evaluate(gradients(sum(maximum(x, 2)), [x]), feeds)[0].data).toEqual(Float64Array.of(0.5, 0, 0.5, 0));
  });

  test('by an intermediate value, and by the loss itself', () => {
    const x = double('x', [2]);
    const y = mul(x, 3);
    const loss = sum(square(y));
    const [dx, dy, dLoss] = gradients(loss, [x, y, loss]);
    const feeds = new Map([[x, Float64Array.of(1, 2)]]);
    // d/dy = 2 y = (6, 12); d/dx = 3 · that.
    expect(evaluate([dx, dy, dLoss], feeds).map((each) => [...each.data])).toEqual([[18, 36], [6, 12], [1]]);
  });
});

describe('errors', () => {
  test('the loss must be a floating-point scalar', () => {
    const x = input('x', [2]);
    expect(() => gradients(x, [x])).toThrow(ShapeError);
    expect(() => gradients(x, [x])).toThrow('the loss must be a floating-point scalar, got float32 [2]');
    expect(() => gradients(constant([1], [1], 'int64'), [x])).toThrow('got int64 [1]');
  });

  test('an operator without gradient on the way is named', () => {
    const x = input('x', [3]);
    const y = input('y', [3]);
    const rounded = apply(rounding, [x], {});
    expect(() => gradients(sum(rounded), [x])).toThrow(ShapeError);
    expect(() => gradients(sum(rounded), [x])).toThrow(
      'the operator "rounding" has no gradient. Wrap it in stopGradient.',
    );
    // Behind stopGradient, or off the path, it does not matter.
    expect(() => gradients(sum(add(x, stopGradient(rounded))), [x])).not.toThrow();
    expect(() => gradients(sum(mul(y, rounded)), [y])).not.toThrow();
  });
});

import fc from 'fast-check';
import {
  add,
  broadcastTo,
  concat,
  constant,
  div,
  exp,
  input,
  matmul,
  maximum,
  mean,
  mul,
  neg,
  pad,
  reshape,
  sizeOf,
  slice,
  softmax,
  square,
  stopGradient,
  sub,
  sum,
  tanh,
  transpose,
  where,
  greater,
} from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';

/** A small graph: its inputs and its outputs. Nodes are shared, repeated and unused, and many hang on constants only. */
export interface RandomGraph {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** Every step takes two earlier nodes and makes a new one of shape [2, 3], so that any step fits any other. */
const steps: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  add,
  sub,
  mul,
  (a, b) => div(a, add(square(b), 1)),
  maximum,
  (a) => neg(a),
  (a) => exp(tanh(a)),
  (a) => softmax(a),
  (a) => stopGradient(a),
  (a, b) => where(greater(a, b), a, mul(b, 2)),
  (a, b) => slice(concat([a, b], 0), 0, 1, 3),
  (a) => transpose(reshape(transpose(a, [1, 0]), [3, 2]), [1, 0]),
  (a, b) => add(sum(a, 1, true), mean(b, 0, true)),
  (a) => broadcastTo(sum(a, [0], true), [2, 3]),
  (a) => slice(pad(a, 1, 1, 0), 1, 0, 3),
  (a, b) => matmul(matmul(a, b, { transposeB: true }), b),
  // What constant folding drops.
  (a) => add(a, 0),
  (a) => mul(1, a),
  (a) => div(sub(a, constant(0, [2, 3], a.dtype)), constant(1, [1, 1], a.dtype)),
];

/** Random graphs over two inputs and three constants, of float64 or float32. */
export const randomGraph = (dtype: 'float32' | 'float64' = 'float64'): fc.Arbitrary<RandomGraph> =>
  fc
    .array(fc.tuple(fc.nat(steps.length - 1), fc.nat(30), fc.nat(30)), { minLength: 3, maxLength: 14 })
    .map((choices) => {
      const inputs = [input('x', [2, 3], dtype), input('y', [1, 3], dtype)];
      const nodes = [
        inputs[0],
        broadcastTo(inputs[1], [2, 3]),
        constant([1, -2, 3, 0, 0.5, -1], [2, 3], dtype),
        constant(0, [2, 3], dtype),
        constant(1, [2, 3], dtype),
      ];
      for (const [step, a, b] of choices) nodes.push(steps[step](nodes[a % nodes.length], nodes[b % nodes.length]));
      return { inputs, outputs: nodes.slice(-3) };
    });

/** Values between -2 and 2 for the inputs of a random graph, as fast-check draws them. */
export const valuesFor = (graph: RandomGraph, numbers: readonly number[]): Map<Tensor, Float64Array> => {
  let next = 0;
  return new Map(
    graph.inputs.map((each) => [
      each,
      new Float64Array(sizeOf(each.shape)).map(() => numbers[next++ % numbers.length]),
    ]),
  );
};

export const numbersArbitrary = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 9, maxLength: 9 });

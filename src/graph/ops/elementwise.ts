import { ShapeError } from '../../errors.ts';
import type { OnnxBuilder } from '../onnx/builder.ts';
import { apply, asTensor, definePrimitive } from '../tensor.ts';
import type { Example, NdArray, Primitive, Tensor } from '../tensor.ts';
import { broadcastShapes, isFloat, sizeOf } from '../types.ts';
import type { DType, Shape, TensorType } from '../types.ts';
import { broadcastIndex, sumTo } from './broadcasting.ts';

/** An operand: a tensor, or a number that takes the other operand's element type. */
export type Operand = Tensor | number;

type None = Record<string, never>;
const none: None = {};

const broadcastExamples: Example<None>[] = [
  {
    inputs: [
      [2, 3],
      [2, 3],
    ],
    attributes: none,
  },
  {
    inputs: [
      [2, 1, 4],
      [3, 1],
    ],
    attributes: none,
  },
  { inputs: [[], [5]], attributes: none },
  {
    inputs: [
      [0, 3],
      [1, 3],
    ],
    attributes: none,
  },
];

function evaluateBroadcast(inputs: readonly NdArray[], shape: Shape, f: (...values: number[]) => number): Float64Array {
  const readers = inputs.map((each) => broadcastIndex(shape, each.shape));
  return new Float64Array(sizeOf(shape)).map((_, flat) => f(...inputs.map((each, i) => each.data[readers[i](flat)])));
}

function sameDtype(name: string, inputs: readonly TensorType[]): DType {
  const [first] = inputs;
  const other = inputs.find((each) => each.dtype !== first.dtype);
  if (other) throw new ShapeError(`${name}: element types ${first.dtype} and ${other.dtype} differ; cast one of them.`);
  return first.dtype;
}

interface BinaryRule {
  readonly onnx: string;
  readonly value: (a: number, b: number) => number;
  readonly vjp?: (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor | undefined, Tensor | undefined];
  readonly result?: DType;
  readonly examples?: Example<None>[];
}

function binary(name: string, rule: BinaryRule): (a: Operand, b: Operand) => Tensor {
  const primitive = definePrimitive<None>({
    name,
    infer: (inputs) => {
      const dtype = sameDtype(name, inputs);
      return { shape: broadcastShapes(name, ...inputs.map((each) => each.shape)), dtype: rule.result ?? dtype };
    },
    evaluate: (inputs, _, { shape }) => evaluateBroadcast(inputs, shape, rule.value),
    lower: (onnx, inputs) => onnx.node(rule.onnx, inputs),
    ...(rule.vjp && {
      vjp: (dy: Tensor, node: Tensor<None>) => {
        const [a, b] = node.inputs;
        const [da, db] = rule.vjp!(dy, a, b, node);
        return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)];
      },
    }),
    examples: rule.examples ?? broadcastExamples,
  });
  return (a, b) => {
    const dtype = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype;
    return apply(primitive, [asTensor(a, dtype), asTensor(b, dtype)], none);
  };
}

const positive = [0.5, 2] as const;

/** `a + b`, broadcasting. */
export const add = binary('add', { onnx: 'Add', value: (a, b) => a + b, vjp: (dy) => [dy, dy] });

/** `a - b`, broadcasting. */
export const sub = binary('sub', { onnx: 'Sub', value: (a, b) => a - b, vjp: (dy) => [dy, neg(dy)] });

/** `a · b` element by element, broadcasting. */
export const mul = binary('mul', { onnx: 'Mul', value: (a, b) => a * b, vjp: (dy, a, b) => [mul(dy, b), mul(dy, a)] });

/** `a / b` element by element, broadcasting. */
export const div = binary('div', {
  onnx: 'Div',
  value: (a, b) => a / b,
  vjp: (dy, _, b, y) => {
    const da = div(dy, b);
    return [da, neg(mul(da, y))];
  },
  examples: [
    { inputs: [[2, 3], { shape: [2, 3], range: positive }], attributes: none },
    { inputs: [[2, 3], { shape: [1], range: [-2, -0.5] }], attributes: none },
    { inputs: [[], { shape: [4], range: positive }], attributes: none },
  ],
});

/** How often the whole number `b` fits into the whole number `a`, towards zero. No gradient. */
export const quotient = binary('quotient', {
  onnx: 'Div',
  value: (a, b) => Math.trunc(a / b),
  examples: [
    {
      inputs: [
        { shape: [2, 3], dtype: 'int64', values: [0, 6, 7, -7, 2 ** 24 + 1, 2 ** 31 - 1] },
        { shape: [3], dtype: 'int64', values: [1, 7, 3] },
      ],
      attributes: none,
    },
  ],
});

/** The larger of `a` and `b`; where they are equal the gradient goes to both halves. */
export const maximum = binary('maximum', {
  onnx: 'Max',
  value: Math.max,
  vjp: (dy, a, b) => extremum(dy, a, b, greater(a, b)),
  examples: broadcastExamples,
});

/** The smaller of `a` and `b`; where they are equal the gradient goes to both halves. */
export const minimum = binary('minimum', {
  onnx: 'Min',
  value: Math.min,
  vjp: (dy, a, b) => extremum(dy, a, b, less(a, b)),
  examples: broadcastExamples,
});

function extremum(dy: Tensor, a: Tensor, b: Tensor, aWins: Tensor): [Tensor, Tensor] {
  const toA = add(cast(aWins, dy.dtype), mul(cast(equal(a, b), dy.dtype), 0.5));
  return [mul(dy, toA), mul(dy, sub(1, toA))];
}

const comparisonExamples: Example<None>[] = [
  {
    inputs: [
      { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
      { shape: [3], values: [1, 5, 3] },
    ],
    attributes: none,
  },
  {
    inputs: [
      [2, 1, 4],
      [3, 1],
    ],
    attributes: none,
  },
];

const comparison = (name: string, onnx: string, value: (a: number, b: number) => boolean) =>
  binary(name, { onnx, value: (a, b) => Number(value(a, b)), result: 'bool', examples: comparisonExamples });

/** `a > b` as bool. */
export const greater = comparison('greater', 'Greater', (a, b) => a > b);
/** `a ≥ b` as bool. */
export const greaterOrEqual = comparison('greaterOrEqual', 'GreaterOrEqual', (a, b) => a >= b);
/** `a < b` as bool. */
export const less = comparison('less', 'Less', (a, b) => a < b);
/** `a = b` as bool. */
export const equal = comparison('equal', 'Equal', (a, b) => a === b);

interface UnaryRule {
  readonly onnx: string | ((onnx: OnnxBuilder, x: string, dtype: DType) => string);
  readonly value: (x: number) => number;
  /** The factor that multiplies the cotangent, as a function of x and y. */
  readonly derivative: (x: Tensor, y: Tensor) => Operand;
  readonly range?: readonly [number, number];
}

function unary(name: string, rule: UnaryRule): (x: Tensor) => Tensor {
  const example = (shape: Shape): Example<None> => ({
    inputs: [rule.range ? { shape, range: rule.range } : shape],
    attributes: none,
  });
  const primitive = definePrimitive<None>({
    name,
    infer: ([x]) => {
      if (!isFloat(x.dtype)) throw new ShapeError(`${name}: needs floating-point values, got ${x.dtype}; cast first.`);
      return { shape: x.shape, dtype: x.dtype };
    },
    evaluate: ([x]) => x.data.map(rule.value),
    lower: (onnx, [x], node) =>
      typeof rule.onnx === 'string' ? onnx.node(rule.onnx, [x]) : rule.onnx(onnx, x, node.dtype),
    vjp: (dy, node) => [mul(dy, rule.derivative(node.inputs[0], node))],
    examples: [example([2, 3]), example([]), example([2, 1, 5])],
  });
  return (x) => apply(primitive, [x], none);
}

const logistic = (x: number) => 1 / (1 + Math.exp(-x));

/** `-x`. */
export const neg = unary('neg', { onnx: 'Neg', value: (x) => -x, derivative: () => -1 });
/** `e^x`. */
export const exp = unary('exp', { onnx: 'Exp', value: Math.exp, derivative: (_, y) => y });
/** Natural logarithm. */
export const log = unary('log', { onnx: 'Log', value: Math.log, derivative: (x) => reciprocal(x), range: positive });
/** Square root. */
export const sqrt = unary('sqrt', {
  onnx: 'Sqrt',
  value: Math.sqrt,
  derivative: (_, y) => div(0.5, y),
  range: positive,
});
/** `1 / x`. */
export const reciprocal = unary('reciprocal', {
  onnx: 'Reciprocal',
  value: (x) => 1 / x,
  derivative: (_, y) => neg(mul(y, y)),
  range: positive,
});
/** Hyperbolic tangent. */
export const tanh = unary('tanh', { onnx: 'Tanh', value: Math.tanh, derivative: (_, y) => sub(1, mul(y, y)) });
/** Logistic function `1 / (1 + e^-x)`. */
export const sigmoid = unary('sigmoid', { onnx: 'Sigmoid', value: logistic, derivative: (_, y) => mul(y, sub(1, y)) });
/** Sine. */
export const sin = unary('sin', { onnx: 'Sin', value: Math.sin, derivative: (x) => cos(x) });
/** Cosine. */
export const cos = unary('cos', { onnx: 'Cos', value: Math.cos, derivative: (x) => neg(sin(x)) });

/** SiLU (swish): `x · sigmoid(x)`. Elfwing et al. 2018. */
export const silu = unary('silu', {
  // QuickGelu with alpha = 1 is SiLU in one pass over memory.
  onnx: (onnx, x, dtype) =>
    onnx.dialect !== 'standard' && dtype === 'float32'
      ? onnx.node('QuickGelu', [x], { alpha: { float: 1 } }, { domain: 'com.microsoft' })
      : onnx.node('Mul', [x, onnx.node('Sigmoid', [x])]),
  value: (x) => x * logistic(x),
  // d/dx x·s(x) = s + x·s·(1 - s) = s + y·(1 - s) = y + s·(1 - y)
  derivative: (x, y) => add(y, mul(sigmoid(x), sub(1, y))),
});

/** `x²`. */
export const square = (x: Tensor): Tensor => mul(x, x);

const wherePrimitive: Primitive<None> = definePrimitive<None>({
  name: 'where',
  infer: ([condition, a, b]) => {
    if (condition.dtype !== 'bool') throw new ShapeError(`where: the condition must be bool, got ${condition.dtype}.`);
    return { shape: broadcastShapes('where', condition.shape, a.shape, b.shape), dtype: sameDtype('where', [a, b]) };
  },
  evaluate: (inputs, _, { shape }) => evaluateBroadcast(inputs, shape, (condition, a, b) => (condition ? a : b)),
  lower: (onnx, inputs) => onnx.node('Where', inputs),
  vjp: (dy, { inputs: [condition, a, b] }) => [
    undefined,
    sumTo(where(condition, dy, 0), a.shape),
    sumTo(where(condition, 0, dy), b.shape),
  ],
  examples: [
    { inputs: [{ shape: [2, 3], dtype: 'bool', values: [1, 0, 1, 0, 0, 1] }, [2, 3], [2, 3]], attributes: none },
    { inputs: [{ shape: [2, 1], dtype: 'bool', values: [1, 0] }, [3], []], attributes: none },
  ],
});

/**
 * `condition ? a : b` element by element, broadcasting.
 *
 * @param condition  bool
 * @param a          where it holds
 * @param b          elsewhere, of the element type of a
 * @throws ShapeError when the shapes do not broadcast or an element type is another
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const dtype = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype;
  return apply(wherePrimitive, [condition, asTensor(a, dtype), asTensor(b, dtype)], none);
}

interface CastAttributes {
  readonly to: DType;
}

const castPrimitive = definePrimitive<CastAttributes>({
  name: 'cast',
  infer: ([x], { to }) => ({ shape: x.shape, dtype: to }),
  evaluate: ([x], { to }) => {
    if (to === 'bool') return x.data.map((value) => Number(value !== 0));
    return isFloat(to) ? x.data : x.data.map(Math.trunc);
  },
  lower: (onnx, [x], { attributes: { to } }) => onnx.cast(x, to),
  vjp: (dy, { inputs: [x] }) => [isFloat(x.dtype) ? cast(dy, x.dtype) : undefined],
  examples: [
    { inputs: [[2, 3]], attributes: { to: 'float64' } },
    { inputs: [{ shape: [4], dtype: 'uint8', values: [0, 1, 128, 255] }], attributes: { to: 'float32' } },
    { inputs: [{ shape: [3], values: [0, 0.5, -2] }], attributes: { to: 'bool' } },
    { inputs: [{ shape: [3], values: [0, 1.7, -2.2] }], attributes: { to: 'int64' } },
  ],
});

/** The same values in another element type; towards integers the fraction is cut off. */
export const cast = (x: Tensor, to: DType): Tensor => (x.dtype === to ? x : apply(castPrimitive, [x], { to }));

interface DequantizeAttributes {
  readonly zeroPoint: number;
}

const dequantizePrimitive = definePrimitive<DequantizeAttributes>({
  name: 'dequantize',
  infer: ([x]) => {
    if (x.dtype !== 'uint8') throw new ShapeError(`dequantize: x must be uint8, got ${x.dtype}.`);
    return { shape: x.shape, dtype: 'float32' };
  },
  evaluate: ([x], { zeroPoint }) => x.data.map((value) => value - zeroPoint),
  lower: (onnx, [x], { shape, attributes: { zeroPoint } }) => {
    const zero = onnx.initializer({ dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) });
    const values = onnx.node('DequantizeLinear', [x, onnx.scalar(1, 'float32'), zero]);
    // ONNX Runtime repeats the operator for each of its consumers, and moves it past a Reshape. Flatten makes them one.
    return onnx.reshape(onnx.node('Flatten', [values]), shape);
  },
  vjp: () => [undefined],
  examples: [
    { inputs: [{ shape: [4], dtype: 'uint8', values: [0, 1, 128, 255] }], attributes: { zeroPoint: 128 } },
    { inputs: [{ shape: [2, 2], dtype: 'uint8', values: [0, 7, 99, 255] }], attributes: { zeroPoint: 0 } },
  ],
});

/**
 * `x - zeroPoint` of bytes as float32, in one pass over memory. No gradient.
 *
 * @param x          uint8 of any shape
 * @param zeroPoint  integer from 0 to 255
 * @throws ShapeError for another element type
 */
export const dequantize = (x: Tensor, { zeroPoint }: DequantizeAttributes): Tensor =>
  apply(dequantizePrimitive, [x], { zeroPoint });

const stopGradientPrimitive = definePrimitive<None>({
  name: 'stopGradient',
  infer: ([{ shape, dtype }]) => ({ shape, dtype }),
  evaluate: ([x]) => x.data,
  lower: (_, [x]) => x,
  vjp: () => [undefined],
  examples: [],
});

/** The same value; gradients stop here. */
export const stopGradient = (x: Tensor): Tensor => apply(stopGradientPrimitive, [x], none);

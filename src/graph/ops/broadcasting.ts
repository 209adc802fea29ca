import { ShapeError } from '../../errors.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { Example, NdArray, Tensor } from '../tensor.ts';
import { broadcastShapes, formatShape, normalizeAxis, sameShape, sizeOf, stridesOf } from '../types.ts';
import type { Shape } from '../types.ts';

/*
 * Repeating along axes and its transpose, summing over them, with the reshape that both need. They live together
 * because each is the other's gradient.
 */

/** For every element of `shape`, the flat index of the element that it reads from a broadcast operand. */
export function broadcastIndex(shape: Shape, operand: Shape): (flat: number) => number {
  if (sizeOf(operand) === 1) return () => 0;
  const strides = stridesOf(shape);
  const from = stridesOf(operand);
  const steps = shape.map((_, axis) => {
    const at = axis - (shape.length - operand.length);
    return at < 0 || operand[at] === 1 ? 0 : from[at];
  });
  return (flat) => {
    let rest = flat;
    let index = 0;
    for (let axis = 0; axis < shape.length; axis++) {
      const position = Math.floor(rest / strides[axis]);
      rest -= position * strides[axis];
      index += position * steps[axis];
    }
    return index;
  };
}

interface ShapeAttributes {
  readonly shape: Shape;
}

const reshapePrimitive = definePrimitive<ShapeAttributes>({
  name: 'reshape',
  infer: ([x], { shape }) => {
    if (sizeOf(shape) !== sizeOf(x.shape) || !shape.every(Number.isInteger)) {
      throw new ShapeError(
        `reshape: ${formatShape(x.shape)} has ${sizeOf(x.shape)} elements, ${formatShape(shape)} ${sizeOf(shape)}.`,
      );
    }
    return { shape, dtype: x.dtype };
  },
  evaluate: ([x]) => x.data,
  lower: (onnx, [x], { shape }) => onnx.reshape(x, shape),
  vjp: (dy, { inputs: [x] }) => [reshape(dy, x.shape)],
  examples: [
    { inputs: [[2, 6]], attributes: { shape: [3, 4] } },
    { inputs: [[1]], attributes: { shape: [] } },
    { inputs: [[]], attributes: { shape: [1, 1] } },
  ],
});

/**
 * The same elements in row-major order under another shape; one dimension may be -1 and is worked out.
 *
 * @throws ShapeError when the numbers of elements differ
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, d) => (d === -1 ? product : product * d), 1);
  const full = shape.map((d) => (d === -1 ? sizeOf(x.shape) / known : d));
  return sameShape(full, x.shape) ? x : apply(reshapePrimitive, [x], { shape: full });
}

const broadcastToPrimitive = definePrimitive<ShapeAttributes>({
  name: 'broadcastTo',
  infer: ([x], { shape }) => {
    if (!sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape)) {
      throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}.`);
    }
    return { shape, dtype: x.dtype };
  },
  evaluate: ([x], _, { shape }) => {
    const read = broadcastIndex(shape, x.shape);
    return new Float64Array(sizeOf(shape)).map((_value, flat) => x.data[read(flat)]);
  },
  lower: (onnx, [x], { shape }) => onnx.node('Expand', [x, onnx.ints(shape)]),
  vjp: (dy, { inputs: [x] }) => [sumTo(dy, x.shape)],
  examples: [
    { inputs: [[3]], attributes: { shape: [2, 3] } },
    { inputs: [[2, 1, 1]], attributes: { shape: [2, 3, 4] } },
    { inputs: [[]], attributes: { shape: [2] } },
  ],
});

/**
 * Repeats along axes of length 1, and along new leading axes.
 *
 * @param shape  of the result
 * @throws ShapeError when x does not broadcast to it
 */
export const broadcastTo = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : apply(broadcastToPrimitive, [x], { shape: [...shape] });

interface ReductionAttributes {
  /** Axes to reduce, in increasing order. */
  readonly axes: readonly number[];
  /** Whether reduced axes stay as axes of length 1. */
  readonly keepDims: boolean;
}

const examples: Example<ReductionAttributes>[] = [
  { inputs: [[2, 3, 4]], attributes: { axes: [1], keepDims: false } },
  { inputs: [[2, 3, 4]], attributes: { axes: [0, 2], keepDims: true } },
  { inputs: [[5]], attributes: { axes: [0], keepDims: false } },
  { inputs: [[2, 1, 3]], attributes: { axes: [0, 1, 2], keepDims: false } },
];

export const keptShape = (shape: Shape, axes: readonly number[]): number[] =>
  shape.map((d, axis) => (axes.includes(axis) ? 1 : d));

const reducedShape = (shape: Shape, { axes, keepDims }: ReductionAttributes): number[] =>
  keepDims ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));

export function fold(
  x: NdArray,
  axes: readonly number[],
  initial: number,
  f: (sum: number, value: number) => number,
): Float64Array {
  const kept = keptShape(x.shape, axes);
  const strides = stridesOf(x.shape);
  const into = stridesOf(kept);
  const result = new Float64Array(sizeOf(kept)).fill(initial);
  x.data.forEach((value, flat) => {
    let rest = flat;
    let at = 0;
    for (let axis = 0; axis < kept.length; axis++) {
      const position = Math.floor(rest / strides[axis]);
      rest -= position * strides[axis];
      if (kept[axis] !== 1) at += position * into[axis];
    }
    result[at] = f(result[at], value);
  });
  return result;
}

interface ReductionRule {
  readonly onnx: string;
  readonly evaluate: (x: NdArray, axes: readonly number[]) => Float64Array;
  /** The cotangent of x, from the cotangent and the result broadcast back to the shape of x. */
  readonly vjp: (dy: Tensor, x: Tensor, y: Tensor, count: number) => Tensor;
}

/** Defines a reduction; the rules for mean and maximum are in reduction.ts. */
export function reduction(name: string, rule: ReductionRule) {
  const primitive = definePrimitive<ReductionAttributes>({
    name,
    infer: ([x], attributes) => ({ shape: reducedShape(x.shape, attributes), dtype: x.dtype }),
    evaluate: ([x], { axes }) => rule.evaluate(x, axes),
    lower: (onnx, [x], { attributes: { axes, keepDims } }) =>
      onnx.node(rule.onnx, [x, onnx.ints(axes)], { keepdims: { int: Number(keepDims) } }),
    vjp: (dy, node) => {
      const [x] = node.inputs;
      const kept = keptShape(x.shape, node.attributes.axes);
      const spread = (y: Tensor): Tensor => broadcastTo(reshape(y, kept), x.shape);
      return [rule.vjp(spread(dy), x, reshape(node, kept), sizeOf(x.shape) / sizeOf(kept))];
    },
    examples,
  });
  return (x: Tensor, axes: readonly number[] | number = x.shape.map((_, axis) => axis), keepDims = false): Tensor => {
    const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => normalizeAxis(name, axis, x.shape.length));
    if (list.length === 0) return x;
    return apply(primitive, [x], { axes: [...list].sort((a, b) => a - b), keepDims });
  };
}

export const sumOver = (x: NdArray, axes: readonly number[]): Float64Array => fold(x, axes, 0, (a, b) => a + b);

/**
 * Sum over axes.
 *
 * @param axes      one axis or several, negative ones from the end; left out: all
 * @param keepDims  whether these axes stay, with length 1
 * @throws ShapeError for an axis that x does not have
 */
export const sum = reduction('sum', { onnx: 'ReduceSum', evaluate: sumOver, vjp: (dy) => dy });

/**
 * Sums a broadcast result back to the shape it was broadcast from: the transpose of broadcasting.
 *
 * @param shape  one that broadcasts to that of x
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((d, axis) => (axis < lead || (shape[axis - lead] === 1 && d !== 1) ? [axis] : []));
  return reshape(sum(x, axes, true), shape);
}

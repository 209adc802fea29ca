import { ShapeError } from '../../errors.ts';
import { onnxDataType } from '../onnx/builder.ts';
import { apply, constant, definePrimitive } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { formatShape, normalizeAxis, sameShape, sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import { reshape } from './broadcasting.ts';
import { cast, equal } from './elementwise.ts';

interface GatherAttributes {
  readonly axis: number;
}

const gatherShape = (x: Shape, indices: Shape, axis: number): number[] => [
  ...x.slice(0, axis),
  ...indices,
  ...x.slice(axis + 1),
];

/** Visits every element of a gathered tensor as (flat position in the result, flat position in the source). */
function eachGathered(x: Shape, indices: Float64Array, axis: number, visit: (to: number, from: number) => void): void {
  const outer = sizeOf(x.slice(0, axis));
  const inner = sizeOf(x.slice(axis + 1));
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < indices.length; i++) {
      for (let e = 0; e < inner; e++)
        visit((o * indices.length + i) * inner + e, (o * x[axis] + indices[i]) * inner + e);
    }
  }
}

const gatherPrimitive = definePrimitive<GatherAttributes>({
  name: 'gather',
  infer: ([x, indices], { axis }) => {
    if (indices.dtype !== 'int64') throw new ShapeError(`gather: indices must be int64, got ${indices.dtype}.`);
    return { shape: gatherShape(x.shape, indices.shape, axis), dtype: x.dtype };
  },
  evaluate: ([x, indices], { axis }, { shape }) => {
    const result = new Float64Array(sizeOf(shape));
    eachGathered(x.shape, indices.data, axis, (to, from) => (result[to] = x.data[from]));
    return result;
  },
  lower: (onnx, inputs, { attributes: { axis } }) => onnx.node('Gather', inputs, { axis: { int: axis } }),
  vjp: (dy, { inputs: [x, indices], attributes: { axis } }) => [gatherGradient(dy, indices, x.shape, axis), undefined],
  examples: [
    { inputs: [[4, 3], { shape: [2], dtype: 'int64', values: [2, 0] }], attributes: { axis: 0 } },
    { inputs: [[4, 3], { shape: [2, 2], dtype: 'int64', values: [2, 0, 2, 3] }], attributes: { axis: 0 } },
    { inputs: [[2, 4, 2], { shape: [3], dtype: 'int64', values: [3, 3, 1] }], attributes: { axis: 1 } },
    { inputs: [[2, 3], { shape: [], dtype: 'int64', values: [1] }], attributes: { axis: 1 } },
  ],
});

/**
 * Picks positions along an axis.
 *
 * @param x        [..., n, ...], n positions along `axis`
 * @param indices  int64 of any shape, each in [0, n)
 * @returns        shape of x with the axis replaced by the shape of `indices`
 * @throws ShapeError for indices of another type, and an axis that x does not have
 */
export const gather = (x: Tensor, indices: Tensor, axis = 0): Tensor =>
  apply(gatherPrimitive, [x, indices], { axis: normalizeAxis('gather', axis, x.shape.length) });

interface GatherGradientAttributes extends GatherAttributes {
  readonly shape: Shape;
}

const gatherGradientPrimitive = definePrimitive<GatherGradientAttributes>({
  name: 'gatherGradient',
  infer: ([dy], { shape }) => ({ shape, dtype: dy.dtype }),
  evaluate: ([dy, indices], { axis, shape }) => {
    const result = new Float64Array(sizeOf(shape));
    eachGathered(shape, indices.data, axis, (to, from) => (result[from] += dy.data[to]));
    return result;
  },
  lower: (onnx, [dy, indices], { inputs, dtype, attributes: { axis, shape } }) => {
    // As a sum over the leading axis of a transposed table: ScatterND adds whole rows.
    const rank = shape.length;
    const count = sizeOf(inputs[1].shape);
    const front = [axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis)];
    const rowShape = shape.filter((_, i) => i !== axis);
    const rows = onnx.transpose(onnx.reshape(dy, [...shape.slice(0, axis), count, ...shape.slice(axis + 1)]), front);
    const zero = onnx.node('Expand', [onnx.scalar(0, dtype), onnx.ints([shape[axis], ...rowShape])]);
    const places = onnx.node('Cast', [onnx.reshape(indices, [count, 1])], { to: { int: onnxDataType.int64 } });
    const scattered = onnx.node('ScatterND', [zero, places, rows], {
      reduction: { string: 'add' },
    });
    return onnx.transpose(
      scattered,
      front.map((_, i) => front.indexOf(i)),
    );
  },
  vjp: (cotangent, { inputs: [, indices], attributes: { axis } }) => [gather(cotangent, indices, axis), undefined],
  examples: [
    { inputs: [[2, 3], { shape: [2], dtype: 'int64', values: [2, 0] }], attributes: { axis: 0, shape: [4, 3] } },
    {
      inputs: [[2, 3, 2], { shape: [3], dtype: 'int64', values: [3, 3, 1] }],
      attributes: { axis: 1, shape: [2, 4, 2] },
    },
  ],
});

/** The transpose of `gather`: adds each slice of `dy` to the position it was picked from. */
const gatherGradient = (dy: Tensor, indices: Tensor, shape: Shape, axis: number): Tensor =>
  apply(gatherGradientPrimitive, [dy, indices], { axis, shape });

/**
 * Rows of the unit matrix: 1 at the index and 0 elsewhere; only zeros for an index outside [0, depth). No gradient.
 *
 * @param indices  int64 of any shape
 * @returns        [...indices.shape, depth]
 */
export function oneHot(indices: Tensor, depth: number, dtype: 'float32' | 'float64' = 'float32'): Tensor {
  const classes = constant(
    BigInt64Array.from({ length: depth }, (_, i) => BigInt(i)),
    [depth],
    'int64',
  );
  return cast(equal(reshape(indices, [...indices.shape, 1]), classes), dtype);
}

interface TopKAttributes {
  readonly k: number;
}

const largestIndicesPrimitive = definePrimitive<TopKAttributes>({
  name: 'largestIndices',
  infer: ([x], { k }) => {
    const length = x.shape.at(-1) ?? 0;
    if (!(k >= 1 && k <= length))
      throw new ShapeError(`largestIndices: k must be 1 to ${length} for ${formatShape(x.shape)}, got ${k}.`);
    return { shape: [...x.shape.slice(0, -1), k], dtype: 'int64' };
  },
  evaluate: ([x], { k }, { shape }) => {
    const length = x.shape.at(-1)!;
    const result = new Float64Array(sizeOf(shape));
    for (let row = 0; row * length < x.data.length; row++) {
      const values = x.data.subarray(row * length, (row + 1) * length);
      const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
      result.set(order.slice(0, k), row * k);
    }
    return result;
  },
  lower: (onnx, [x], { inputs, attributes: { k } }) => {
    const options = { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } };
    const indices = onnx.node('TopK', [x, onnx.ints([k])], options, { outputs: 2, output: 1 });
    // Where int32 stands for int64 it can't be cast to on the device, but it can be an index there.
    return onnx.dataType('int64') === onnxDataType.int64
      ? indices
      : onnx.node('Gather', [onnx.countUp(inputs[0].shape.at(-1)!), indices]);
  },
  examples: [
    { inputs: [[2, 7]], attributes: { k: 3 } },
    { inputs: [{ shape: [1, 4], values: [1, 1, 2, 1] }], attributes: { k: 2 } },
  ],
});

/**
 * Positions of the `k` largest values along the last axis, largest first, earlier first among equals. No gradient.
 *
 * @param x  [..., n]
 * @returns  [..., k], int64
 * @throws ShapeError when k is not between 1 and n
 */
export const largestIndices = (x: Tensor, k: number): Tensor => apply(largestIndicesPrimitive, [x], { k });

type None = Record<string, never>;

const replaceAtPrimitive = definePrimitive<None>({
  name: 'replaceAt',
  infer: ([x, indices, values]) => {
    if (!sameShape(indices.shape, values.shape) || indices.dtype !== 'int64') {
      throw new ShapeError(
        `replaceAt: indices must be int64 ${formatShape(values.shape)}, got ${indices.dtype} ${formatShape(indices.shape)}.`,
      );
    }
    return { shape: x.shape, dtype: x.dtype };
  },
  evaluate: ([x, indices, values]) => {
    const result = Float64Array.from(x.data);
    eachAlongLastAxis(x.shape, indices.shape, indices.data, (to, from) => (result[to] = values.data[from]));
    return result;
  },
  lower: (onnx, inputs) => onnx.node('ScatterElements', inputs, { axis: { int: -1 } }),
  vjp: (dy, { inputs: [, indices, values] }) => [
    replaceAt(dy, indices, constant(0, values.shape, values.dtype)),
    undefined,
    pickAt(dy, indices),
  ],
  examples: [
    { inputs: [[2, 4], { shape: [2, 2], dtype: 'int64', values: [3, 0, 1, 2] }, [2, 2]], attributes: {} },
    { inputs: [[1, 3], { shape: [1, 1], dtype: 'int64', values: [1] }, [1, 1]], attributes: {} },
  ],
});

/** Visits (flat position in x, flat position in indices) for indices along the last axis. */
function eachAlongLastAxis(
  x: Shape,
  picked: Shape,
  indices: Float64Array,
  visit: (at: number, index: number) => void,
): void {
  const length = x.at(-1)!;
  const k = picked.at(-1)!;
  indices.forEach((position, i) => visit(Math.floor(i / k) * length + position, i));
}

/**
 * `x` with the values at some positions along the last axis replaced.
 *
 * @param x        [..., n]
 * @param indices  [..., k], int64, each in [0, n), distinct within a row
 * @param values   [..., k]
 * @returns        [..., n]
 * @throws ShapeError when shapes or types do not fit
 */
export const replaceAt = (x: Tensor, indices: Tensor, values: Tensor): Tensor =>
  apply(replaceAtPrimitive, [x, indices, values], {});

const pickAtPrimitive = definePrimitive<None>({
  name: 'pickAt',
  infer: ([x, indices]) => {
    if (indices.dtype !== 'int64') throw new ShapeError(`pickAt: indices must be int64, got ${indices.dtype}.`);
    return { shape: indices.shape, dtype: x.dtype };
  },
  evaluate: ([x, indices], _, { shape }) => {
    const result = new Float64Array(sizeOf(shape));
    eachAlongLastAxis(x.shape, indices.shape, indices.data, (from, to) => (result[to] = x.data[from]));
    return result;
  },
  lower: (onnx, inputs) => onnx.node('GatherElements', inputs, { axis: { int: -1 } }),
  vjp: (dy, { inputs: [x, indices] }) => [replaceAt(constant(0, x.shape, x.dtype), indices, dy), undefined],
  examples: [
    { inputs: [[2, 4], { shape: [2, 2], dtype: 'int64', values: [3, 0, 1, 2] }], attributes: {} },
    { inputs: [[3], { shape: [1], dtype: 'int64', values: [2] }], attributes: {} },
  ],
});

/**
 * The values at some positions along the last axis.
 *
 * @param x        [..., n]
 * @param indices  [..., k], int64, each in [0, n), distinct within a row
 * @returns        [..., k]
 * @throws ShapeError for indices of another type
 */
export const pickAt = (x: Tensor, indices: Tensor): Tensor => apply(pickAtPrimitive, [x, indices], {});

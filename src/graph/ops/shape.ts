import { ShapeError } from '../../errors.ts';
import { apply, constant, definePrimitive } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { formatShape, isFloat, normalizeAxis, sizeOf, stridesOf } from '../types.ts';
import type { DType, Shape } from '../types.ts';
import { broadcastTo, reshape } from './broadcasting.ts';

interface TransposeAttributes {
  readonly permutation: readonly number[];
}

const transposePrimitive = definePrimitive<TransposeAttributes>({
  name: 'transpose',
  infer: ([x], { permutation }) => {
    const sorted = [...permutation].sort((a, b) => a - b);
    if (sorted.length !== x.shape.length || sorted.some((axis, i) => axis !== i)) {
      throw new ShapeError(
        `transpose: [${permutation.join(', ')}] is no permutation of the axes of ${formatShape(x.shape)}.`,
      );
    }
    return { shape: permutation.map((axis) => x.shape[axis]), dtype: x.dtype };
  },
  evaluate: ([x], { permutation }, { shape }) => {
    const from = stridesOf(x.shape);
    const strides = stridesOf(shape);
    return new Float64Array(x.data.length).map((_, flat) => {
      let rest = flat;
      let at = 0;
      for (let axis = 0; axis < shape.length; axis++) {
        const position = Math.floor(rest / strides[axis]);
        rest -= position * strides[axis];
        at += position * from[permutation[axis]];
      }
      return x.data[at];
    });
  },
  lower: (onnx, [x], { attributes: { permutation } }) => onnx.transpose(x, permutation),
  vjp: (dy, { attributes: { permutation } }) => [
    transpose(
      dy,
      permutation.map((_, axis) => permutation.indexOf(axis)),
    ),
  ],
  examples: [
    { inputs: [[2, 3]], attributes: { permutation: [1, 0] } },
    { inputs: [[2, 3, 4]], attributes: { permutation: [2, 0, 1] } },
    { inputs: [[1, 2, 3, 2]], attributes: { permutation: [1, 0, 3, 2] } },
  ],
});

/**
 * Axes in another order: `result.shape[i] = x.shape[permutation[i]]`.
 *
 * @throws ShapeError when `permutation` does not name every axis once
 */
export const transpose = (x: Tensor, permutation: readonly number[]): Tensor =>
  permutation.every((axis, i) => axis === i) ? x : apply(transposePrimitive, [x], { permutation: [...permutation] });

interface AxisAttributes {
  readonly axis: number;
}

/** Elements before, along and after an axis: the three loops of every operation along it. */
function around(shape: Shape, axis: number): { outer: number; length: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), length: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}

const concatPrimitive = definePrimitive<AxisAttributes>({
  name: 'concat',
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    for (const each of inputs) {
      const fits =
        each.shape.length === first.shape.length && each.shape.every((d, i) => i === axis || d === first.shape[i]);
      if (!fits || each.dtype !== first.dtype) {
        throw new ShapeError(
          `concat: ${first.dtype} ${formatShape(first.shape)} and ${each.dtype} ${formatShape(each.shape)} do not join along axis ${axis}.`,
        );
      }
    }
    const length = inputs.reduce((total, each) => total + each.shape[axis], 0);
    return { shape: first.shape.map((d, i) => (i === axis ? length : d)), dtype: first.dtype };
  },
  evaluate: (inputs, { axis }, { shape }) => {
    const { outer, length, inner } = around(shape, axis);
    const result = new Float64Array(sizeOf(shape));
    let start = 0;
    for (const each of inputs) {
      const chunk = each.shape[axis] * inner;
      for (let o = 0; o < outer; o++) {
        result.set(each.data.subarray(o * chunk, (o + 1) * chunk), o * length * inner + start);
      }
      start += chunk;
    }
    return result;
  },
  lower: (onnx, inputs, { attributes: { axis } }) => onnx.node('Concat', inputs, { axis: { int: axis } }),
  vjp: (dy, { inputs, attributes: { axis } }) => {
    let start = 0;
    return inputs.map((each) => slice(dy, axis, start, (start += each.shape[axis])));
  },
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 1],
      ],
      attributes: { axis: 1 },
    },
    {
      inputs: [
        [2, 3],
        [1, 3],
        [3, 3],
      ],
      attributes: { axis: 0 },
    },
    {
      inputs: [
        [2, 2, 3],
        [2, 0, 3],
      ],
      attributes: { axis: 1 },
    },
  ],
});

/**
 * Joins tensors along an existing axis.
 *
 * @throws ShapeError when their other axes or element types differ
 */
export const concat = (inputs: readonly Tensor[], axis: number): Tensor =>
  inputs.length === 1
    ? inputs[0]
    : apply(concatPrimitive, inputs, { axis: normalizeAxis('concat', axis, inputs[0].shape.length) });

interface SliceAttributes extends AxisAttributes {
  readonly start: number;
  readonly end: number;
}

const slicePrimitive = definePrimitive<SliceAttributes>({
  name: 'slice',
  infer: ([x], { axis, start, end }) => {
    if (!(start >= 0 && start <= end && end <= x.shape[axis])) {
      throw new ShapeError(`slice: [${start}, ${end}) is outside axis ${axis} of ${formatShape(x.shape)}.`);
    }
    return { shape: x.shape.map((d, i) => (i === axis ? end - start : d)), dtype: x.dtype };
  },
  evaluate: ([x], { axis, start, end }, { shape }) => {
    const { outer, length, inner } = around(x.shape, axis);
    const result = new Float64Array(sizeOf(shape));
    for (let o = 0; o < outer; o++) {
      const from = o * length * inner;
      result.set(x.data.subarray(from + start * inner, from + end * inner), o * (end - start) * inner);
    }
    return result;
  },
  lower: (onnx, [x], { dtype, attributes: { axis, start, end } }) => {
    if (onnx.dialect !== 'onnxruntime-32-bit' || isFloat(dtype)) return onnx.slice(x, [start], [end], [axis]);
    // Graphics devices slice floats alone. Bytes pass through them exactly, and other integers are picked.
    if (dtype === 'int64') {
      const places = onnx.ints(Array.from({ length: end - start }, (_, i) => start + i));
      return onnx.node('Gather', [x, places], { axis: { int: axis } });
    }
    const cast = (value: string, to: DType): string => onnx.node('Cast', [value], { to: { int: onnx.dataType(to) } });
    return cast(onnx.slice(cast(x, 'float32'), [start], [end], [axis]), dtype);
  },
  vjp: (dy, { inputs: [x], attributes: { axis, start, end } }) => [pad(dy, axis, start, x.shape[axis] - end)],
  examples: [
    { inputs: [[5]], attributes: { axis: 0, start: 1, end: 4 } },
    { inputs: [[2, 4, 3]], attributes: { axis: 1, start: 2, end: 4 } },
    { inputs: [[2, 3]], attributes: { axis: 1, start: 0, end: 3 } },
  ],
});

/**
 * Elements `start` to `end` (excluded) along an axis.
 *
 * @throws ShapeError when that reaches beyond the axis
 */
export const slice = (x: Tensor, axis: number, start: number, end: number): Tensor => {
  const at = normalizeAxis('slice', axis, x.shape.length);
  return start === 0 && end === x.shape[at] ? x : apply(slicePrimitive, [x], { axis: at, start, end });
};

/**
 * Cuts an axis into consecutive pieces of the given lengths. What they leave at its end is dropped.
 *
 * @throws ShapeError when they are longer than the axis together
 */
export function split(x: Tensor, axis: number, lengths: readonly number[]): Tensor[] {
  let start = 0;
  return lengths.map((length) => slice(x, axis, start, (start += length)));
}

interface PadAttributes extends AxisAttributes {
  readonly before: number;
  readonly after: number;
}

const padPrimitive = definePrimitive<PadAttributes>({
  name: 'pad',
  infer: ([x], { axis, before, after }) => {
    if (!(before >= 0 && after >= 0))
      throw new ShapeError(`pad: lengths must not be negative, got ${before} and ${after}.`);
    return { shape: x.shape.map((d, i) => (i === axis ? before + d + after : d)), dtype: x.dtype };
  },
  evaluate: ([x], { axis, before }, { shape }) => {
    const { outer, length, inner } = around(x.shape, axis);
    const result = new Float64Array(sizeOf(shape));
    for (let o = 0; o < outer; o++) {
      result.set(x.data.subarray(o * length * inner, (o + 1) * length * inner), (o * shape[axis] + before) * inner);
    }
    return result;
  },
  lower: (onnx, [x], { attributes: { axis, before, after } }) =>
    onnx.node('Pad', [x, onnx.ints([before, after]), '', onnx.ints([axis])]),
  vjp: (dy, { inputs: [x], attributes: { axis, before } }) => [slice(dy, axis, before, before + x.shape[axis])],
  examples: [
    { inputs: [[3]], attributes: { axis: 0, before: 1, after: 2 } },
    { inputs: [[2, 2, 2]], attributes: { axis: 1, before: 0, after: 1 } },
  ],
});

/**
 * Zeros before and after the elements of an axis, as many as `before` and `after` say.
 *
 * @throws ShapeError for a negative number
 */
export const pad = (x: Tensor, axis: number, before: number, after: number): Tensor =>
  before === 0 && after === 0
    ? x
    : apply(padPrimitive, [x], { axis: normalizeAxis('pad', axis, x.shape.length), before, after });

/** Flattens tensors and joins them into one vector. */
export const concatFlat = (inputs: readonly Tensor[]): Tensor =>
  concat(
    inputs.map((each) => reshape(each, [-1])),
    0,
  );

/** A tensor of zeros. */
export const zeros = (shape: Shape, dtype: Tensor['dtype'] = 'float32'): Tensor =>
  broadcastTo(constant(0, [], dtype), shape);

import { ShapeError } from '../errors.ts';
import { roundToFloat16 } from './float16.ts';

/**
 * Element types of symbolic tensors. `uint8` holds images as stored; cast before computing with it. `float16` is for what
 * a graph computes within: values go in and out of a program as float32.
 */
export type DType = 'float16' | 'float32' | 'float64' | 'int64' | 'uint8' | 'bool';

/** A static shape. Every dimension is known when the graph is built; a scalar has shape []. */
export type Shape = readonly number[];

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The typed arrays that carry values: one per element type (`bool` uses one byte a value, `float16` rounded float32). */
export type TensorData = Float32Array | Float64Array | BigInt64Array | Uint8Array;

export const isFloat = (dtype: DType): boolean => dtype === 'float16' || dtype === 'float32' || dtype === 'float64';

export const sizeOf = (shape: Shape): number => shape.reduce((product, dimension) => product * dimension, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Row-major strides of a shape, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** NumPy's broadcasting rule: align at the last axis; each pair of dimensions is equal or one of them is 1. */
export function broadcastShapes(name: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    shape.forEach((dimension, axis) => {
      const at = axis + rank - shape.length;
      if (dimension === 1 || dimension === result[at]) return;
      if (result[at] !== 1) {
        throw new ShapeError(`${name}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast.`);
      }
      result[at] = dimension;
    });
  }
  return result;
}

/** Turns a possibly negative axis into one in [0, rank). */
export function normalizeAxis(name: string, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(positive) || positive < 0 || positive >= rank) {
    throw new ShapeError(`${name}: axis ${axis} is outside a tensor of rank ${rank}.`);
  }
  return positive;
}

/** An empty typed array that fits an element type. */
export function allocate(dtype: DType, size: number): TensorData {
  switch (dtype) {
    case 'float16':
    case 'float32':
      return new Float32Array(size);
    case 'float64':
      return new Float64Array(size);
    case 'int64':
      return new BigInt64Array(size);
    case 'uint8':
    case 'bool':
      return new Uint8Array(size);
    default:
      return dtype satisfies never;
  }
}

/** Values of any element type as float64, exact but for int64 beyond 2^53. */
export function toFloat64(data: TensorData): Float64Array {
  return data instanceof BigInt64Array ? Float64Array.from(data, Number) : Float64Array.from(data);
}

/** Float64 values in the array of an element type; float32 and float16 round to nearest. */
export function fromFloat64(values: Float64Array, dtype: DType): TensorData {
  switch (dtype) {
    case 'int64':
      return BigInt64Array.from(values, (value) => BigInt(value));
    case 'float16':
      return Float32Array.from(values, roundToFloat16);
    default:
      return copyInto(allocate(dtype, values.length), values);
  }
}

function copyInto(target: TensorData, values: Float64Array): TensorData {
  (target as Float64Array).set(values);
  return target;
}

/** A value as text that tells 0 from -0, which compare equal and divide differently. */
export const bits = (value: number | bigint): string => (Object.is(value, -0) ? '-0' : String(value));

import { ShapeError } from '../../errors.ts';
import type { AttributeValue } from '../onnx/builder.ts';
import { apply, constant, definePrimitive } from '../tensor.ts';
import type { Primitive, Tensor } from '../tensor.ts';
import { formatShape, sizeOf } from '../types.ts';
import { add, cast, div, equal, maximum, mul } from './elementwise.ts';
import { matmul } from './matmul.ts';

/* Sliding windows over each channel by itself. Places of a window that lie outside the image do not count. */

interface PoolOptions {
  /** Side of the square window. */
  readonly kernel: number;
  readonly stride?: number;
  /** Places outside the image on each side that windows may cover; less than `kernel`. */
  readonly padding?: number;
}

interface PoolAttributes extends Required<PoolOptions> {
  /** Height and width of x. */
  readonly size: readonly [number, number];
}

/** How many windows fit along an axis of this length. */
const windowsAlong = (length: number, { kernel, stride, padding }: PoolAttributes): number =>
  Math.floor((length + 2 * padding - kernel) / stride) + 1;

const pooledSize = (attributes: PoolAttributes): number[] =>
  attributes.size.map((length) => windowsAlong(length, attributes));

function inferPooled([x]: readonly { shape: readonly number[]; dtype: Tensor['dtype'] }[], attributes: PoolAttributes) {
  return { shape: [...x.shape.slice(0, 2), ...pooledSize(attributes)], dtype: x.dtype };
}

/** Values of a window, for every window of every plane, to one value. */
function evaluatePooled(
  x: Float64Array,
  attributes: PoolAttributes,
  shape: readonly number[],
  summarize: (window: number[]) => number,
): Float64Array {
  const { kernel, stride, padding, size } = attributes;
  const [height, width] = pooledSize(attributes);
  return Float64Array.from({ length: sizeOf(shape) }, (_, at) => {
    const plane = Math.floor(at / (height * width));
    const top = (Math.floor(at / width) % height) * stride - padding;
    const left = (at % width) * stride - padding;
    const window: number[] = [];
    for (let row = Math.max(top, 0); row < Math.min(top + kernel, size[0]); row++)
      for (let column = Math.max(left, 0); column < Math.min(left + kernel, size[1]); column++)
        window.push(x[(plane * size[0] + row) * size[1] + column]);
    return summarize(window);
  });
}

const onnxAttributes = ({ kernel, stride, padding }: PoolAttributes): Record<string, AttributeValue> => ({
  kernel_shape: { ints: [kernel, kernel] },
  strides: { ints: [stride, stride] },
  pads: { ints: [padding, padding, padding, padding] },
});

/** Matrix [windows, length] with `weight(places)` where a window has a place, `places` being how many it has inside. */
function windowMatrix(
  length: number,
  attributes: PoolAttributes,
  dtype: Tensor['dtype'],
  weight: (places: number) => number,
): Tensor {
  const { kernel, stride, padding } = attributes;
  const count = windowsAlong(length, attributes);
  const values = new Array<number>(count * length).fill(0);
  for (let i = 0; i < count; i++) {
    const from = Math.max(i * stride - padding, 0);
    const to = Math.min(i * stride - padding + kernel, length);
    values.fill(weight(to - from), i * length + from, i * length + to);
  }
  return constant(values, [count, length], dtype);
}

/** Matrix [windows, length] with 1 at place number `tap` of each window, where that lies inside. */
function tapMatrix(length: number, attributes: PoolAttributes, tap: number, dtype: Tensor['dtype']): Tensor {
  const { stride, padding } = attributes;
  const count = windowsAlong(length, attributes);
  const values = Array.from({ length: count * length }, (_, at) =>
    at % length === Math.floor(at / length) * stride - padding + tap ? 1 : 0,
  );
  return constant(values, [count, length], dtype);
}

const variants: readonly (PoolOptions & { size: readonly [number, number] })[] = [
  { kernel: 3, stride: 2, size: [7, 6] },
  { kernel: 3, padding: 1, size: [4, 5] },
  { kernel: 2, stride: 2, padding: 1, size: [5, 4] },
];
const examples = variants.map(({ size, ...options }) => ({
  inputs: [[2, 2, ...size]],
  attributes: { stride: 1, padding: 0, ...options, size },
}));

const averagePrimitive: Primitive<PoolAttributes> = definePrimitive<PoolAttributes>({
  name: 'averagePool2d',
  infer: inferPooled,
  evaluate: ([x], attributes, { shape }) =>
    evaluatePooled(
      x.data,
      attributes,
      shape,
      (window) => window.reduce((sum, value) => sum + value, 0) / window.length,
    ),
  lower: (onnx, [x], { attributes }) =>
    onnx.node('AveragePool', [x], { ...onnxAttributes(attributes), count_include_pad: { int: 0 } }),
  // A mean over rows of a mean over columns: two matrix products, and their transposes.
  vjp: (dy, { attributes, dtype }) => {
    const [rows, columns] = attributes.size.map((length) => windowMatrix(length, attributes, dtype, (n) => 1 / n));
    return [matmul(rows, matmul(dy, columns), { transposeA: true })];
  },
  examples,
});

const maximumPrimitive: Primitive<PoolAttributes> = definePrimitive<PoolAttributes>({
  name: 'maxPool2d',
  infer: inferPooled,
  evaluate: ([x], attributes, { shape }) => evaluatePooled(x.data, attributes, shape, (window) => Math.max(...window)),
  lower: (onnx, [x], { attributes }) => onnx.node('MaxPool', [x], onnxAttributes(attributes)),
  // Equal maxima share the gradient.
  vjp: (dy, node) => {
    const { attributes, dtype, inputs } = node;
    const { kernel, size } = attributes;
    const taps = Array.from({ length: kernel ** 2 }, (_, tap) => {
      const rows = tapMatrix(size[0], attributes, Math.floor(tap / kernel), dtype);
      const columns = tapMatrix(size[1], attributes, tap % kernel, dtype);
      const take = (x: Tensor): Tensor => matmul(rows, matmul(x, columns, { transposeB: true }));
      const isInside = take(constant(1, [1, 1, ...size], dtype));
      const isMaximum = mul(cast(equal(take(inputs[0]), node), dtype), isInside);
      return { isMaximum, put: (y: Tensor): Tensor => matmul(rows, matmul(y, columns), { transposeA: true }) };
    });
    const count = taps.map(({ isMaximum }) => isMaximum).reduce((a, b) => add(a, b));
    const part = div(dy, maximum(count, 1));
    return [taps.map(({ isMaximum, put }) => put(mul(part, isMaximum))).reduce((a, b) => add(a, b))];
  },
  examples,
});

function attributesOf(name: string, x: Tensor, { kernel, stride = 1, padding = 0 }: PoolOptions): PoolAttributes {
  if (x.shape.length !== 4) throw new ShapeError(`${name}: needs x [N, C, H, W], got ${formatShape(x.shape)}.`);
  const attributes = { kernel, stride, padding, size: [x.shape[2], x.shape[3]] as const };
  if (padding >= kernel || pooledSize(attributes).some((length) => length < 1))
    throw new ShapeError(
      `${name}: a window of ${kernel} x ${kernel} with padding ${padding} does not fit into x ${formatShape(x.shape)}.`,
    );
  return attributes;
}

/**
 * Mean over windows. Places outside the image do not count: PyTorch's avg_pool2d with `count_include_pad=False`.
 *
 * @param x  [N, C, H, W]
 * @returns  [N, C, floor((H + 2 padding - kernel) / stride) + 1, the same for W]
 * @throws ShapeError when x has other axes or no window fits
 */
export const averagePool2d = (x: Tensor, options: PoolOptions): Tensor =>
  apply(averagePrimitive, [x], attributesOf('averagePool2d', x, options));

/** Maximum over windows; arguments and errors as of `averagePool2d`. Equal maxima share the gradient. */
export const maxPool2d = (x: Tensor, options: PoolOptions): Tensor =>
  apply(maximumPrimitive, [x], attributesOf('maxPool2d', x, options));

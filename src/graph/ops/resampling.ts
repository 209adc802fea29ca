import { ShapeError } from '../../errors.ts';
import type { OnnxBuilder } from '../onnx/builder.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { Primitive, Tensor } from '../tensor.ts';
import { formatShape, sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';

/*
 * Halving and doubling the resolution with a separable filter, each channel by itself. The two are transposes of each
 * other, so each is the other's gradient.
 */

interface ResampleAttributes {
  /** One-dimensional filter; the two-dimensional one is its outer product. */
  readonly filter: readonly number[];
  /** Zeros at each border of the high resolution. */
  readonly padding: number;
  /** Height and width at the high resolution. */
  readonly size: readonly [number, number];
}

const lowSize = ({ filter, padding, size }: ResampleAttributes): number[] =>
  size.map((length) => Math.floor((length + 2 * padding - filter.length) / 2) + 1);

/** Calls `visit` with flat positions at the low and the high resolution and the filter's weight. */
function eachTap(
  planes: number,
  attributes: ResampleAttributes,
  visit: (low: number, high: number, weight: number) => void,
): void {
  const { filter, padding, size } = attributes;
  const [height, width] = lowSize(attributes);
  for (let plane = 0; plane < planes; plane++)
    for (let i = 0; i < height; i++)
      for (let j = 0; j < width; j++)
        for (let a = 0; a < filter.length; a++)
          for (let b = 0; b < filter.length; b++) {
            const row = 2 * i + a - padding;
            const column = 2 * j + b - padding;
            if (row < 0 || row >= size[0] || column < 0 || column >= size[1]) continue;
            visit((plane * height + i) * width + j, (plane * size[0] + row) * size[1] + column, filter[a] * filter[b]);
          }
}

/** Two equal taps without padding: a sum over 2 × 2 pixels, times a factor. */
const isBox = ({ filter, padding, size }: ResampleAttributes): boolean =>
  filter.length === 2 && filter[0] === filter[1] && padding === 0 && size.every((length) => length % 2 === 0);

/** All channels of all images as images of one channel. */
const singleChannel = (onnx: OnnxBuilder, x: string, [n, c, h, w]: Shape): string => onnx.reshape(x, [n * c, 1, h, w]);

function kernel(onnx: OnnxBuilder, filter: readonly number[], dtype: Tensor['dtype']): string {
  const values = filter.flatMap((a) => filter.map((b) => a * b));
  const data = dtype === 'float64' ? Float64Array.from(values) : Float32Array.from(values);
  return onnx.initializer({ dtype, shape: [1, 1, filter.length, filter.length], data });
}

const convolutionAttributes = ({ filter, padding }: ResampleAttributes) => ({
  kernel_shape: { ints: [filter.length, filter.length] },
  strides: { ints: [2, 2] },
  pads: { ints: [padding, padding, padding, padding] },
});

/** Rows and columns of the high resolution that no tap reaches. */
const unreached = (attributes: ResampleAttributes): number[] =>
  lowSize(attributes).map((low, axis) => {
    const { filter, padding, size } = attributes;
    return size[axis] + 2 * padding - filter.length - 2 * (low - 1);
  });

const variants: ResampleAttributes[] = [
  { filter: [0.5, 0.5], padding: 0, size: [4, 6] },
  { filter: [1, 1], padding: 0, size: [2, 2] },
  { filter: [0.125, 0.375, 0.375, 0.125], padding: 1, size: [4, 6] },
  { filter: [0.1, 0.2, 0.3, 0.4], padding: 1, size: [2, 2] },
  { filter: [0.1, 0.2, 0.3, 0.4], padding: 0, size: [6, 5] },
  { filter: [0.25, 0.75], padding: 0, size: [5, 4] },
];

const downsamplePrimitive: Primitive<ResampleAttributes> = definePrimitive<ResampleAttributes>({
  name: 'downsample2d',
  infer: ([x], attributes) => ({ shape: [...x.shape.slice(0, 2), ...lowSize(attributes)], dtype: x.dtype }),
  evaluate: ([x], attributes, { shape }) => {
    const y = new Float64Array(sizeOf(shape));
    eachTap(shape[0] * shape[1], attributes, (low, high, weight) => (y[low] += weight * x.data[high]));
    return y;
  },
  lower: (onnx, [x], node) => {
    const { filter } = node.attributes;
    if (isBox(node.attributes)) {
      const pooled = onnx.node('AveragePool', [x], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } });
      const factor = 4 * filter[0] * filter[0];
      return factor === 1 ? pooled : onnx.node('Mul', [pooled, onnx.scalar(factor, node.dtype)]);
    }
    const planes = singleChannel(onnx, x, node.inputs[0].shape);
    const filtered = onnx.node(
      'Conv',
      [planes, kernel(onnx, filter, node.dtype)],
      convolutionAttributes(node.attributes),
    );
    return onnx.reshape(filtered, node.shape);
  },
  vjp: (dy, { attributes }) => [apply(upsamplePrimitive, [dy], attributes)],
  examples: variants.map((attributes) => ({ inputs: [[2, 3, ...attributes.size]], attributes })),
});

const upsamplePrimitive: Primitive<ResampleAttributes> = definePrimitive<ResampleAttributes>({
  name: 'upsample2d',
  infer: ([x], { size }) => ({ shape: [...x.shape.slice(0, 2), ...size], dtype: x.dtype }),
  evaluate: ([x], attributes, { shape }) => {
    const y = new Float64Array(sizeOf(shape));
    eachTap(shape[0] * shape[1], attributes, (low, high, weight) => (y[high] += weight * x.data[low]));
    return y;
  },
  lower: (onnx, [x], node) => {
    const { filter } = node.attributes;
    if (isBox(node.attributes)) {
      const factor = filter[0] * filter[0];
      const scaled = factor === 1 ? x : onnx.node('Mul', [x, onnx.scalar(factor, node.dtype)]);
      const scales = onnx.initializer({ dtype: 'float32', shape: [4], data: Float32Array.of(1, 1, 2, 2) });
      return onnx.node('Resize', [scaled, '', scales], {
        mode: { string: 'nearest' },
        nearest_mode: { string: 'floor' },
        coordinate_transformation_mode: { string: 'asymmetric' },
      });
    }
    const planes = singleChannel(onnx, x, node.inputs[0].shape);
    const spread = onnx.node('ConvTranspose', [planes, kernel(onnx, filter, node.dtype)], {
      ...convolutionAttributes(node.attributes),
      output_padding: { ints: unreached(node.attributes) },
    });
    return onnx.reshape(spread, node.shape);
  },
  vjp: (dy, { attributes }) => [apply(downsamplePrimitive, [dy], attributes)],
  examples: variants.map((attributes) => ({ inputs: [[2, 3, ...lowSize(attributes)]], attributes })),
});

/** The filter with taps that sum to `total`. */
const normalized = (filter: readonly number[], total: number): number[] => {
  const sum = filter.reduce((a, b) => a + b, 0);
  return filter.map((tap) => (tap * total) / sum);
};

/** The filter centred on pairs of pixels, so that the resolution is exactly halved or doubled. */
const centred = (filter: readonly number[]): number => Math.floor((filter.length - 1) / 2);

function check(name: string, x: Shape, filter: readonly number[]): void {
  if (x.length !== 4) throw new ShapeError(`${name}: needs x [N, C, H, W], got ${formatShape(x)}.`);
  if (filter.length === 0 || filter.length % 2 !== 0) {
    throw new ShapeError(`${name}: the filter must have an even number of taps, got ${filter.length}.`);
  }
}

/**
 * Halves the resolution: filter each channel, keep every second pixel. Karras et al. 2022, the `down` of every network.
 *
 * @param x        [N, C, H, W]
 * @param filter   taps of the separable filter, scaled here to sum to 1; an even number of them
 * @param padding  zeros at each border; by default as many as make the result [N, C, H / 2, W / 2]
 * @throws ShapeError when x has other axes or the filter an odd number of taps
 */
export function downsample2d(x: Tensor, filter: readonly number[], padding = centred(filter)): Tensor {
  check('downsample2d', x.shape, filter);
  const size = [x.shape[2], x.shape[3]] as const;
  return apply(downsamplePrimitive, [x], { filter: normalized(filter, 1), padding, size });
}

/**
 * Doubles the resolution: zeros between pixels, then the filter, scaled so that a constant image stays what it is.
 *
 * @param x       [N, C, H, W]
 * @param filter  taps of the separable filter, scaled here to sum to 2 along each axis; an even number of them
 * @returns       [N, C, 2 H, 2 W]
 * @throws ShapeError when x has other axes or the filter an odd number of taps
 */
export function upsample2d(x: Tensor, filter: readonly number[]): Tensor {
  check('upsample2d', x.shape, filter);
  const size = [2 * x.shape[2], 2 * x.shape[3]] as const;
  return apply(upsamplePrimitive, [x], { filter: normalized(filter, 2), padding: centred(filter), size });
}

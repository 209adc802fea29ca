import { ShapeError } from '../../errors.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { Example, ExampleInput, Primitive, Tensor } from '../tensor.ts';
import { formatShape, sizeOf } from '../types.ts';
import { sum } from './broadcasting.ts';
import { outputSize } from './convolution-attributes.ts';
import type { ConvAttributes, ConvOptions } from './convolution-attributes.ts';
import { lowerConvolution, lowerInputGradient } from './convolution-lowering.ts';
import { lowerWeightGradient } from './weight-gradient-lowering.ts';
import type { Shape } from '../types.ts';

/*
 * Convolution is one trilinear form, sum of dy · x · w over all index combinations, read in three ways: as y from x and
 * w, as dx from dy and w (the transposed convolution) and as dw from x and dy. So each of the three has the other two
 * as its gradients, and gradients of any order exist.
 */

interface Extents {
  readonly batch: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
}

/** Calls `visit` with flat positions in y, x and w for every product of the trilinear form. */
function eachProduct(
  { batch, channelsIn, channelsOut }: Extents,
  attributes: ConvAttributes,
  visit: (y: number, x: number, w: number) => void,
): void {
  const { size, kernel, stride, padding, groups } = attributes;
  const [height, width] = outputSize(attributes);
  const inPerGroup = channelsIn / groups;
  const outPerGroup = channelsOut / groups;
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < channelsOut; o++)
      for (let c = 0; c < inPerGroup; c++) {
        const channel = Math.floor(o / outPerGroup) * inPerGroup + c;
        for (let i = 0; i < height; i++)
          for (let j = 0; j < width; j++)
            for (let a = 0; a < kernel[0]; a++)
              for (let b = 0; b < kernel[1]; b++) {
                const row = i * stride + a - padding;
                const column = j * stride + b - padding;
                if (row < 0 || row >= size[0] || column < 0 || column >= size[1]) continue;
                visit(
                  ((n * channelsOut + o) * height + i) * width + j,
                  ((n * channelsIn + channel) * size[0] + row) * size[1] + column,
                  ((o * inPerGroup + c) * kernel[0] + a) * kernel[1] + b,
                );
              }
      }
}

/** Multiply-adds of one convolution, whichever of its three readings, times 2. */
function convFlops({ batch, channelsIn, channelsOut }: Extents, attributes: ConvAttributes): number {
  const { kernel, groups } = attributes;
  return 2 * batch * channelsOut * (channelsIn / groups) * sizeOf(kernel) * sizeOf(outputSize(attributes));
}

const extents = (x: Shape, w: Shape): Extents => ({ batch: x[0], channelsIn: x[1], channelsOut: w[0] });

function attributesOf(x: Shape, w: Shape, { stride = 1, padding = 0, groups = 1 }: ConvOptions): ConvAttributes {
  return { stride, padding, groups, size: [x[2], x[3]], kernel: [w[2], w[3]] };
}

type Case = [x: Shape, w: Shape, options: ConvOptions];

const cases: Case[] = [
  [[2, 3, 5, 4], [4, 3, 3, 3], { padding: 1 }],
  [[1, 2, 4, 4], [3, 2, 1, 1], {}],
  [[2, 2, 5, 5], [2, 2, 3, 3], {}],
  [[1, 4, 6, 6], [4, 2, 3, 3], { padding: 1, groups: 2 }],
  [[2, 2, 6, 6], [3, 2, 3, 3], { padding: 1, stride: 2 }],
  [[1, 2, 7, 6], [2, 2, 4, 4], { padding: 1, stride: 2 }],
  [[1, 3, 6, 6], [3, 1, 2, 2], { stride: 2, groups: 3 }],
  [[1, 2, 5, 5], [2, 2, 3, 3], { padding: 2 }],
  [[2, 2, 3, 4], [3, 2, 1, 1], { padding: 1 }],
];

const examplesOf = (inputs: (x: Shape, w: Shape, y: Shape) => (Shape | ExampleInput)[]): Example<ConvAttributes>[] =>
  cases.map(([x, w, options]) => {
    const attributes = attributesOf(x, w, options);
    return { inputs: inputs(x, w, [x[0], w[0], ...outputSize(attributes)]), attributes };
  });

const convPrimitive: Primitive<ConvAttributes> = definePrimitive<ConvAttributes>({
  name: 'conv2d',
  infer: ([x, w, bias], attributes) => {
    const { groups } = attributes;
    if (x.shape.length !== 4 || w.shape.length !== 4 || x.dtype !== w.dtype) {
      throw new ShapeError(
        `conv2d: needs x [N, C, H, W] and weight [O, C, kh, kw] of one type, got ${x.dtype} ${formatShape(x.shape)} and ${w.dtype} ${formatShape(w.shape)}.`,
      );
    }
    if (x.shape[1] !== w.shape[1] * groups || w.shape[0] % groups !== 0) {
      throw new ShapeError(
        `conv2d: weight ${formatShape(w.shape)} in ${groups} group(s) expects ${w.shape[1] * groups} input channels, but x is ${formatShape(x.shape)}.`,
      );
    }
    const [height, width] = outputSize(attributes);
    if (height < 1 || width < 1)
      throw new ShapeError(
        `conv2d: kernel ${formatShape(attributes.kernel)} does not fit into x ${formatShape(x.shape)}.`,
      );
    if (bias && (bias.shape.length !== 1 || bias.shape[0] !== w.shape[0])) {
      throw new ShapeError(
        `conv2d: weight ${formatShape(w.shape)} needs a bias [${w.shape[0]}], got ${formatShape(bias.shape)}.`,
      );
    }
    return { shape: [x.shape[0], w.shape[0], height, width], dtype: x.dtype };
  },
  evaluate: ([x, w, bias], attributes, { shape }) => {
    const plane = shape[2] * shape[3];
    const y = new Float64Array(sizeOf(shape)).map((_, at) => (bias ? bias.data[Math.floor(at / plane) % shape[1]] : 0));
    eachProduct(extents(x.shape, w.shape), attributes, (at, from, weight) => (y[at] += x.data[from] * w.data[weight]));
    return y;
  },
  lower: lowerConvolution,
  vjp: (dy, { inputs: [x, w, bias], attributes }) => [
    apply(inputGradientPrimitive, [dy, w], attributes),
    apply(weightGradientPrimitive, [x, dy], attributes),
    bias && sum(dy, [0, 2, 3]),
  ],
  flops: ({ inputs: [x, w], attributes }) => convFlops(extents(x.shape, w.shape), attributes),
  examples: [...examplesOf((x, w) => [x, w]), ...examplesOf((x, w) => [x, w, [w[0]]])],
});

const inputGradientPrimitive: Primitive<ConvAttributes> = definePrimitive<ConvAttributes>({
  name: 'conv2dInputGradient',
  infer: ([dy, w], { groups, size }) => ({ shape: [dy.shape[0], w.shape[1] * groups, ...size], dtype: dy.dtype }),
  evaluate: ([dy, w], attributes, { shape }) => {
    const dx = new Float64Array(sizeOf(shape));
    eachProduct(extents(shape, w.shape), attributes, (at, to, weight) => (dx[to] += dy.data[at] * w.data[weight]));
    return dx;
  },
  lower: lowerInputGradient,
  vjp: (cotangent, { inputs: [dy, w], attributes }) => [
    apply(convPrimitive, [cotangent, w], attributes),
    apply(weightGradientPrimitive, [cotangent, dy], attributes),
  ],
  flops: (node) => convFlops(extents(node.shape, node.inputs[1].shape), node.attributes),
  examples: examplesOf((_, w, y) => [y, w]),
});

const weightGradientPrimitive: Primitive<ConvAttributes> = definePrimitive<ConvAttributes>({
  name: 'conv2dWeightGradient',
  infer: ([x, dy], { groups, kernel }) => ({ shape: [dy.shape[1], x.shape[1] / groups, ...kernel], dtype: x.dtype }),
  evaluate: ([x, dy], attributes, { shape }) => {
    const dw = new Float64Array(sizeOf(shape));
    eachProduct(extents(x.shape, shape), attributes, (at, from, weight) => (dw[weight] += x.data[from] * dy.data[at]));
    return dw;
  },
  lower: lowerWeightGradient,
  vjp: (cotangent, { inputs: [x, dy], attributes }) => [
    apply(inputGradientPrimitive, [dy, cotangent], attributes),
    apply(convPrimitive, [x, cotangent], attributes),
  ],
  flops: (node) => convFlops(extents(node.inputs[0].shape, node.shape), node.attributes),
  examples: examplesOf((x, _, y) => [x, y]),
});

/**
 * Two-dimensional cross-correlation, as in PyTorch's conv2d.
 *
 * @param x             [N, C, H, W]
 * @param weight        [O, C / groups, kh, kw]
 * @param options.bias  [O], added to every pixel
 * @returns             [N, O, floor((H + 2 padding - kh) / stride) + 1, the same for W]
 * @throws ShapeError when channels or sizes do not fit
 */
export const conv2d = (x: Tensor, weight: Tensor, { bias, ...options }: ConvOptions & { bias?: Tensor } = {}): Tensor =>
  apply(convPrimitive, bias ? [x, weight, bias] : [x, weight], attributesOf(x.shape, weight.shape, options));

/**
 * Transposed convolution, as in PyTorch's conv_transpose2d without bias or output padding: the gradient of `conv2d`
 * with respect to its input.
 *
 * @param x       [N, O, H, W]
 * @param weight  [O, C / groups, kh, kw]
 * @returns       [N, C, (H - 1) stride - 2 padding + kh, the same for W]
 * @throws ShapeError when channels or sizes do not fit
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  { stride = 1, padding = 0, groups = 1 }: ConvOptions = {},
): Tensor {
  if (x.shape.length !== 4 || weight.shape.length !== 4 || x.shape[1] !== weight.shape[0]) {
    throw new ShapeError(
      `convTranspose2d: weight ${formatShape(weight.shape)} expects ${weight.shape[0]} input channels, but x is ${formatShape(x.shape)}.`,
    );
  }
  const kernel: [number, number] = [weight.shape[2], weight.shape[3]];
  const size = [0, 1].map((axis) => (x.shape[axis + 2] - 1) * stride - 2 * padding + kernel[axis]) as [number, number];
  return apply(inputGradientPrimitive, [x, weight], { stride, padding, groups, size, kernel });
}

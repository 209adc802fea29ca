import { ShapeError } from '../../errors.ts';
import type { OnnxBuilder } from '../onnx/builder.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { Example, ExampleInput, Primitive, Tensor } from '../tensor.ts';
import { formatShape, sizeOf } from '../types.ts';
import { sum } from './broadcasting.ts';
import type { Shape } from '../types.ts';

/*
 * Convolution is one trilinear form, sum of dy · x · w over all index combinations, read in three ways: as y from x and
 * w, as dx from dy and w (the transposed convolution) and as dw from x and dy. So each of the three has the other two
 * as its gradients, and gradients of any order exist.
 */

export interface ConvOptions {
  readonly stride?: number;
  /** Zeros added on each side of both spatial axes. */
  readonly padding?: number;
  readonly groups?: number;
}

interface ConvAttributes extends Required<ConvOptions> {
  /** Spatial size [height, width] of x and of the kernel: with stride above 1 they do not follow from the others. */
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
}

const outputSize = ({ size, kernel, stride, padding }: ConvAttributes): [number, number] => [
  Math.floor((size[0] + 2 * padding - kernel[0]) / stride) + 1,
  Math.floor((size[1] + 2 * padding - kernel[1]) / stride) + 1,
];

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

const onnxAttributes = ({ kernel, stride, padding, groups }: ConvAttributes) => ({
  kernel_shape: { ints: kernel },
  strides: { ints: [stride, stride] },
  pads: { ints: [padding, padding, padding, padding] },
  group: { int: groups },
});

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
  lower: (onnx, inputs, { attributes }) => onnx.node('Conv', inputs, onnxAttributes(attributes)),
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

/** Stride 1 is itself a convolution, with the kernel turned round and its channels swapped; the rest is ConvTranspose. */
function lowerInputGradient(onnx: OnnxBuilder, [dy, w]: readonly string[], node: Tensor<ConvAttributes>): string {
  const { size, kernel, stride, padding, groups } = node.attributes;
  const [out, perGroup] = node.inputs[1].shape;
  const turned = kernel[0] - 1 - padding;
  if (stride === 1 && groups === 1 && kernel[0] === kernel[1] && turned >= 0) {
    const taps = sizeOf(kernel);
    const swapped = onnx.transpose(onnx.reshape(w, [out, perGroup, taps]), [1, 0, 2]);
    const reversed =
      taps === 1 ? swapped : onnx.node('Gather', [swapped, onnx.ints(countdown(taps))], { axis: { int: 2 } });
    const weight = onnx.reshape(reversed, [perGroup, out, ...kernel]);
    return onnx.node('Conv', [dy, weight], onnxAttributes({ ...node.attributes, padding: turned }));
  }
  // Rows and columns of x that the strided convolution never reached get zeros by `output_padding`.
  const [height, width] = outputSize(node.attributes);
  const missing = [height, width].map(
    (length, axis) => size[axis] + 2 * padding - kernel[axis] - (length - 1) * stride,
  );
  return onnx.node('ConvTranspose', [dy, w], {
    ...onnxAttributes(node.attributes),
    output_padding: { ints: missing },
    group: { int: groups },
  });
}

const countdown = (count: number): number[] => Array.from({ length: count }, (_, i) => count - 1 - i);

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

/** Values that one product may hold in its shifted copies: 32 Mi floats are 128 MiB. */
const maxUnfolded = 2 ** 25;

function lowerWeightGradient(onnx: OnnxBuilder, [x, dy]: readonly string[], node: Tensor<ConvAttributes>): string {
  const { stride, groups, kernel, padding } = node.attributes;
  const [batch, channels, height, width] = node.inputs[0].shape;
  if (stride !== 1 || groups !== 1) return asConvolutionOverBatch(onnx, x, dy, node);
  const copies = channels * kernel[1] + node.inputs[1].shape[1] * kernel[0];
  const unfolded = copies * (height + 2 * padding) * (width + 2 * padding);
  const perPart = Math.max(1, Math.min(batch, Math.floor(maxUnfolded / unfolded)));
  const parts: string[] = [];
  for (let start = 0; start < batch; start += perPart) {
    const end = Math.min(batch, start + perPart);
    const part = (value: string): string => (perPart === batch ? value : onnx.slice(value, [start], [end], [0]));
    parts.push(asOneProduct(onnx, part(x), part(dy), end - start, node));
  }
  return parts.reduce((total, each) => onnx.node('Add', [total, each]));
}

/**
 * One product [O · kh, K] · [kw · C, K]ᵀ over the K = N · (H + 2p) · (W + 2p) positions of the padded images. With dy
 * zero-padded to the same pitch, tap (a, b) of the kernel is an offset of a · pitch + b between the flat dy and the
 * flat x: rows are shifted on the left side and columns on the right, so that kh + kw copies serve kh · kw taps. Where
 * a copy runs over an image's edge, dy is zero.
 */
function asOneProduct(onnx: OnnxBuilder, x: string, dy: string, batch: number, node: Tensor<ConvAttributes>): string {
  const { kernel, padding } = node.attributes;
  const [, channels, height, width] = node.inputs[0].shape;
  const [, out, rows, columns] = node.inputs[1].shape;
  const pitch = [height + 2 * padding, width + 2 * padding];
  const positions = batch * sizeOf(pitch);
  const image = sizeOf(pitch);
  const single = sizeOf(kernel) === 1;
  /** Channels first and zero-padded to the pitch, with an image of zeros in front or behind: [count, (N + 1) · image]. */
  const flat = (value: string, count: number, before: number, after: readonly number[], extra: [number, number]) => {
    const swapped = onnx.transpose(value, [1, 0, 2, 3]);
    if (single) return onnx.reshape(swapped, [count, positions]);
    const pads = onnx.ints([extra[0], before, before, extra[1], ...after]);
    return onnx.reshape(onnx.node('Pad', [swapped, pads, '', onnx.ints([1, 2, 3])]), [count, positions + image]);
  };
  /** Copies of the flat vector, each from another offset on: [offsets · channels, positions]. */
  const shifted = (vector: string, offsets: readonly number[]): string => {
    const copies = offsets.map((offset) => onnx.slice(vector, [offset], [offset + positions], [1]));
    return copies.length === 1 ? copies[0] : onnx.node('Concat', copies, { axis: { int: 0 } });
  };
  const count = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const dyFlat = flat(dy, out, 0, [pitch[0] - rows, pitch[1] - columns], [1, 0]);
  const xFlat = flat(x, channels, padding, [padding, padding], [0, 1]);
  const left = single ? dyFlat : rowShifted(onnx, dyFlat, { out, image, pitch: pitch[1], positions, taps: kernel[0] });
  const right = single ? xFlat : shifted(xFlat, count(kernel[1]));
  const product = onnx.matrixProduct(left, right, { transB: true, dtype: node.dtype });
  const taps = onnx.transpose(onnx.reshape(product, [out, sizeOf(kernel), channels]), [0, 2, 1]);
  return onnx.reshape(taps, [out, channels, ...kernel]);
}

/**
 * Copies of a flat dy that are whole rows of pixels apart, as one gathering of rows, which the engine does on all cores:
 * [O · taps, positions].
 */
function rowShifted(
  onnx: OnnxBuilder,
  flat: string,
  {
    out,
    image,
    pitch,
    positions,
    taps,
  }: { out: number; image: number; pitch: number; positions: number; taps: number },
): string {
  const rows = positions / pitch;
  const perImage = image / pitch;
  const indices = Array.from({ length: taps * rows }, (_, i) => perImage - Math.floor(i / rows) + (i % rows));
  const byRow = onnx.reshape(flat, [out, rows + perImage, pitch]);
  return onnx.reshape(onnx.node('Gather', [byRow, onnx.ints(indices)], { axis: { int: 1 } }), [out * taps, positions]);
}

/**
 * The general case: images become channels and channels become images. dw is the convolution of xᵀ with dyᵀ as kernel,
 * dilated by the stride; groups take turns.
 */
function asConvolutionOverBatch(onnx: OnnxBuilder, x: string, dy: string, node: Tensor<ConvAttributes>): string {
  const { stride, groups, kernel, padding } = node.attributes;
  const [, channels] = node.inputs[0].shape;
  const [, out, rows, columns] = node.inputs[1].shape;
  const perGroup = channels / groups;
  const outPerGroup = out / groups;
  const pieces = Array.from({ length: groups }, (_, group) => {
    const pick = (value: string, count: number): string =>
      groups === 1 ? value : onnx.slice(value, [group * count], [(group + 1) * count], [1]);
    const images = onnx.transpose(pick(x, perGroup), [1, 0, 2, 3]);
    const kernels = onnx.transpose(pick(dy, outPerGroup), [1, 0, 2, 3]);
    const full = onnx.node('Conv', [images, kernels], {
      kernel_shape: { ints: [rows, columns] },
      dilations: { ints: [stride, stride] },
      pads: { ints: [padding, padding, padding, padding] },
    });
    // With a stride the last rows of x may be unused: they would give more taps than the kernel has.
    return onnx.transpose(onnx.slice(full, [0, 0], [...kernel], [2, 3]), [1, 0, 2, 3]);
  });
  return pieces.length === 1 ? pieces[0] : onnx.node('Concat', pieces, { axis: { int: 0 } });
}

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

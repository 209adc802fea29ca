import type { OnnxBuilder } from '../onnx/builder.ts';
import type { Tensor } from '../tensor.ts';
import { sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import type { ConvAttributes } from './convolution-attributes.ts';

/** How the gradient of a convolution with respect to its weight is written in ONNX, which has no operator for it. */
export function lowerWeightGradient(
  onnx: OnnxBuilder,
  [x, dy]: readonly string[],
  node: Tensor<ConvAttributes>,
): string {
  if (node.dtype === 'float16' && onnx.dialect === 'onnxruntime-32-bit') {
    // Graphics devices sum in the element type of the result, and this is a sum over all pixels of the batch: in float16
    // what is added would soon be below the last digit of the sum.
    const [wideX, wideDy] = [x, dy].map((value) => onnx.cast(value, 'float32'));
    return onnx.cast(inElementType(onnx, [wideX, wideDy], { ...node, dtype: 'float32' }), 'float16');
  }
  return inElementType(onnx, [x, dy], node);
}

function inElementType(onnx: OnnxBuilder, [x, dy]: readonly string[], node: Tensor<ConvAttributes>): string {
  const { stride, groups, kernel } = node.attributes;
  if (stride !== 1 || groups !== 1) return asConvolutionOverBatch(onnx, x, dy, node);
  // A graphics device would take one thread for each of the few outputs; it has bandwidth for copies instead.
  const isProduct =
    sizeOf(kernel) === 1 ||
    onnx.on === 'graphics' ||
    !liesWell(node.inputs[0].shape[1]) ||
    onnx.without.has('interleavedWeightGradient');
  return isProduct ? inParts(onnx, x, dy, node) : asInterleavedConvolution(onnx, x, dy, node);
}

/**
 * One convolution without any copy of the taps: images are its channels, dy is its kernel of the size of a whole image,
 * and b channels of x lie side by side in one long row [W · b], the channel first, so that a dilation of b steps from
 * pixel to pixel. What comes out, [C / b, O, kh, kw · b], is the gradient with its axes in another order. The engine
 * unfolds such a convolution piece by piece in its cache.
 */
function asInterleavedConvolution(
  onnx: OnnxBuilder,
  x: string,
  dy: string,
  { attributes: { kernel, padding }, inputs }: Tensor<ConvAttributes>,
): string {
  const [batch, channels, height, width] = inputs[0].shape;
  const [, out, rows, columns] = inputs[1].shape;
  const beside = channelsBeside(channels);
  const strips = channels / beside;
  const channelsLast = onnx.transpose(onnx.reshape(x, [batch * strips, beside, height * width]), [0, 2, 1]);
  const interleaved = onnx.reshape(exchangeRows(onnx, channelsLast, [batch, strips, height * width * beside]), [
    strips,
    batch,
    height,
    width * beside,
  ]);
  const result = onnx.node('Conv', [interleaved, onnx.transpose(dy, [1, 0, 2, 3])], {
    kernel_shape: { ints: [rows, columns] },
    dilations: { ints: [1, beside] },
    pads: { ints: [padding, padding * beside, padding, padding * beside] },
  });
  const taps = sizeOf(kernel);
  const tapsLast = onnx.transpose(onnx.reshape(result, [strips * out, taps, beside]), [0, 2, 1]);
  return onnx.reshape(exchangeRows(onnx, tapsLast, [strips, out, beside * taps]), [out, channels, ...kernel]);
}

/**
 * [a, b, length] to [b, a, length], flat, as a gathering of rows. The engine is fast at this and at exchanging the last two
 * axes, and slow at both in one transposition.
 */
function exchangeRows(onnx: OnnxBuilder, x: string, [a, b, length]: Shape): string {
  if (a === 1 || b === 1) return x;
  const order = onnx.memo(`exchange ${a} ${b}`, () =>
    onnx.ints(Array.from({ length: a * b }, (_, i) => (i % a) * b + Math.floor(i / a))),
  );
  return onnx.node('Gather', [onnx.reshape(x, [a * b, length]), order], { axis: { int: 0 } });
}

/** Most channels that lie side by side: with more, the pixels of a column are in too many pages of memory. */
const mostBeside = 64;
/** With less of them in a strip, the kernel is read too often: 67 channels in 67 strips take five times the product's time. */
const leastBeside = 24;

/** Whether channels lie in one strip, or in strips that are wide enough. */
const liesWell = (channels: number): boolean => channels <= mostBeside || channelsBeside(channels) >= leastBeside;

/**
 * The largest divisor of the channels that is not above `mostBeside` and gives an even number of strips, so that two cores
 * share them, or one strip; 1 where there is none.
 */
export function channelsBeside(channels: number): number {
  for (let beside = Math.min(channels, mostBeside); beside > 1; beside--) {
    const strips = channels / beside;
    if (strips === 1 || strips % 2 === 0) return beside;
  }
  return 1;
}

/** Values that one product may hold in its shifted copies: 32 Mi floats are 128 MiB. */
const maxUnfolded = 2 ** 25;

/** The gradient as one product over all pixels, or the sum of several where its copies would take too much memory. */
function inParts(onnx: OnnxBuilder, x: string, dy: string, node: Tensor<ConvAttributes>): string {
  const { kernel, padding } = node.attributes;
  const [batch, channels, height, width] = node.inputs[0].shape;
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
  const single = sizeOf(kernel) === 1 && padding === 0;
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

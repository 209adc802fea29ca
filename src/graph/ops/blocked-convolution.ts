import type { AttributeValue, OnnxBuilder } from '../onnx/builder.ts';
import { isInput } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import type { ConvAttributes } from './convolution-attributes.ts';

/*
 * On a processor ONNX Runtime has convolutions that work on blocks of 8 or 16 channels lying side by side, [N, C / b, H,
 * W, b], with filters [O / b, I / b, kh, kw, b of I, b of O]. It uses them by itself where filters are constant. In
 * training they are not, so the reordering is written into the graph, by operators that the engine's own optimiser puts
 * there: images by ReorderInput and ReorderOutput, filters by ReorderInput and one gathering of rows of b values.
 * Between them a tensor keeps the shape [N, C, H, W] although its values lie otherwise.
 */

const blocked = { domain: 'com.microsoft.nchwc' } as const;

/** The block to use for a convolution, or undefined where the plain operator serves: 1 × 1, or channels that do not fit. */
export function blockFor(
  onnx: OnnxBuilder,
  weight: Tensor,
  { groups, kernel }: Pick<ConvAttributes, 'groups' | 'kernel'>,
): number | undefined {
  const { channelBlock } = onnx;
  const fits =
    channelBlock !== undefined &&
    groups === 1 &&
    sizeOf(kernel) > 1 &&
    weight.dtype === 'float32' &&
    weight.shape[0] % channelBlock === 0 &&
    weight.shape[1] % channelBlock === 0;
  return fits && dependsOnInputs(weight) ? channelBlock : undefined;
}

/** Whether a value changes from run to run; the engine lays out constants better by itself. */
function dependsOnInputs(tensor: Tensor): boolean {
  const seen = new Set<Tensor>();
  const stack = [tensor];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (isInput(node)) return true;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return false;
}

/** A convolution of x [N, C, H, W] with filters in blocks, to [N, channels, ...], both in the usual order. */
export function blockedConvolution(
  onnx: OnnxBuilder,
  [x, filters, ...bias]: readonly string[],
  channels: number,
  attributes: Readonly<Record<string, AttributeValue>>,
): string {
  const images = onnx.node('ReorderInput', [x], {}, blocked);
  const result = onnx.node('Conv', [images, filters, ...bias], attributes, blocked);
  return onnx.node('ReorderOutput', [result], { channels: { int: channels } }, blocked);
}

/** A weight [O, I, kh, kw] as filters in blocks. */
export function filters(onnx: OnnxBuilder, weight: string, [out, into, ...kernel]: Shape, block: number): string {
  const taps = sizeOf(kernel);
  // [O / b, I · taps, b of O]: what is left is to bring the taps before the channels of a block.
  const rows = onnx.node('ReorderInput', [onnx.reshape(weight, [1, out, into * taps, 1])], {}, blocked);
  const perBlock = onnx.reshape(rows, [(out * into) / block ** 2, block * taps, block]);
  const order = onnx.memo(`filters ${block} ${taps}`, () =>
    onnx.ints(Array.from({ length: block * taps }, (_, i) => (i % block) * taps + Math.floor(i / block))),
  );
  return onnx.reshape(onnx.node('Gather', [perBlock, order], { axis: { int: 1 } }), [out, into, ...kernel]);
}

/** The filters of the transposed convolution: kernels turned round, the two channels swapped; of a weight [O, I, kh, kw]. */
export function turnedFilters(onnx: OnnxBuilder, weight: string, [out, into, ...kernel]: Shape, block: number): string {
  const taps = sizeOf(kernel);
  // [O, I / b, taps, b of I], then rows in the order I / b, O / b, taps from the last to the first, b of O.
  const rows = onnx.node('ReorderInput', [onnx.reshape(weight, [out, into, taps, 1])], {}, blocked);
  const order = onnx.memo(`turned filters ${block} ${out} ${into} ${taps}`, () => {
    const indices: number[] = [];
    for (let i = 0; i < into / block; i++)
      for (let o = 0; o < out; o += block)
        for (let tap = taps - 1; tap >= 0; tap--)
          for (let within = 0; within < block; within++) indices.push(((o + within) * (into / block) + i) * taps + tap);
    return onnx.ints(indices);
  });
  const flat = onnx.reshape(rows, [(out * into * taps) / block, block]);
  return onnx.reshape(onnx.node('Gather', [flat, order], { axis: { int: 0 } }), [into, out, ...kernel]);
}

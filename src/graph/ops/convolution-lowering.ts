import type { OnnxBuilder } from '../onnx/builder.ts';
import type { Tensor } from '../tensor.ts';
import { sizeOf } from '../types.ts';
import { blockFor, blockedConvolution, filters, turnedFilters } from './blocked-convolution.ts';
import { onnxAttributes, outputSize } from './convolution-attributes.ts';
import type { ConvAttributes } from './convolution-attributes.ts';

/** A convolution in ONNX: in the engine's own layout where that is faster, else its Conv. */
export function lowerConvolution(onnx: OnnxBuilder, inputs: readonly string[], node: Tensor<ConvAttributes>): string {
  const { attributes } = node;
  const [, weight] = node.inputs;
  const block = blockFor(onnx, weight, attributes);
  if (block === undefined) return onnx.node('Conv', inputs, onnxAttributes(attributes));
  const [x, w, ...bias] = inputs;
  const inBlocks = filters(onnx, w, weight.shape, block);
  return blockedConvolution(onnx, [x, inBlocks, ...bias], weight.shape[0], onnxAttributes(attributes));
}

/** Stride 1 is itself a convolution, with the kernel turned round and its channels swapped; the rest is ConvTranspose. */
export function lowerInputGradient(
  onnx: OnnxBuilder,
  [dy, w]: readonly string[],
  node: Tensor<ConvAttributes>,
): string {
  const { size, kernel, stride, padding, groups } = node.attributes;
  const [out, perGroup] = node.inputs[1].shape;
  const turned = kernel[0] - 1 - padding;
  if (stride === 1 && groups === 1 && kernel[0] === kernel[1] && turned >= 0) {
    const attributes = onnxAttributes({ ...node.attributes, padding: turned });
    const block = blockFor(onnx, node.inputs[1], node.attributes);
    if (block !== undefined) {
      const inBlocks = turnedFilters(onnx, w, node.inputs[1].shape, block);
      return blockedConvolution(onnx, [dy, inBlocks], perGroup, attributes);
    }
    const taps = sizeOf(kernel);
    const swapped = onnx.transpose(onnx.reshape(w, [out, perGroup, taps]), [1, 0, 2]);
    const reversed =
      taps === 1 ? swapped : onnx.node('Gather', [swapped, onnx.ints(countdown(taps))], { axis: { int: 2 } });
    const weight = onnx.reshape(reversed, [perGroup, out, ...kernel]);
    return onnx.node('Conv', [dy, weight], attributes);
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

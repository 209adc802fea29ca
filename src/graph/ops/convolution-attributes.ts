import type { AttributeValue } from '../onnx/builder.ts';

export interface ConvOptions {
  readonly stride?: number;
  /** Zeros added on each side of both spatial axes. */
  readonly padding?: number;
  readonly groups?: number;
}

export interface ConvAttributes extends Required<ConvOptions> {
  /** Spatial size [height, width] of x and of the kernel: with stride above 1 they do not follow from the others. */
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
}

/** Spatial size [height, width] of what a convolution computes. */
export const outputSize = ({ size, kernel, stride, padding }: ConvAttributes): [number, number] => [
  Math.floor((size[0] + 2 * padding - kernel[0]) / stride) + 1,
  Math.floor((size[1] + 2 * padding - kernel[1]) / stride) + 1,
];

/** The attributes of ONNX' Conv. */
export const onnxAttributes = ({
  kernel,
  stride,
  padding,
  groups,
}: ConvAttributes): Record<string, AttributeValue> => ({
  kernel_shape: { ints: kernel },
  strides: { ints: [stride, stride] },
  pads: { ints: [padding, padding, padding, padding] },
  group: { int: groups },
});

/** Symbolic tensors, their operators, differentiation, evaluation, and the way to ONNX. */
export { gradients } from './autodiff.ts';
export { evaluate } from './evaluate.ts';
export { countFlops } from './flops.ts';
export { readOnnxMetadata, toOnnx } from './onnx/model.ts';
export type { OnnxOptions } from './onnx/model.ts';
export { loopToOnnx, toOnnxForAnyBatch } from './onnx/export.ts';
export type { ExportOptions } from './onnx/export.ts';
export type { BuildForBatch } from './onnx/free-batch.ts';
export { iterationInput } from './onnx/loop.ts';
export type { LoopGraph } from './onnx/loop.ts';
export type { NamedWeights } from './onnx/weights.ts';
export type { ComputeKind, Dialect } from './onnx/builder.ts';
export { checkpoint } from './ops/checkpoint.ts';
export { concatFlat, concat, pad, slice, split, transpose, zeros } from './ops/shape.ts';
export { broadcastTo, reshape, sum, sumTo } from './ops/broadcasting.ts';
export { conv2d, convTranspose2d } from './ops/convolution.ts';
export {
  add,
  cast,
  cos,
  dequantize,
  div,
  equal,
  exp,
  greater,
  greaterOrEqual,
  less,
  log,
  maximum,
  minimum,
  mul,
  neg,
  quotient,
  reciprocal,
  sigmoid,
  silu,
  sin,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  where,
} from './ops/elementwise.ts';
export { gather, largestIndices, oneHot, pickAt, replaceAt } from './ops/indexing.ts';
export { matmul } from './ops/matmul.ts';
export { groupNorm } from './ops/normalization.ts';
export { averagePool2d, maxPool2d } from './ops/pooling.ts';
export { max, mean } from './ops/reduction.ts';
export { downsample2d, upsample2d } from './ops/resampling.ts';
export { softmax } from './ops/softmax.ts';
export { optimizations } from './optimizations.ts';
export type { Optimization } from './optimizations.ts';
export { halfPrecision, precisions } from './passes/half-precision.ts';
export type { Precision } from './passes/half-precision.ts';
export { optimize } from './passes/optimize.ts';
export { printGraph } from './print.ts';
export { ancestors, constant, input, isConstant, isInput, primitives } from './tensor.ts';
export type { NdArray, Tensor } from './tensor.ts';
export { allocate, formatShape, fromFloat64, sizeOf, toFloat64 } from './types.ts';
export type { DType, Shape, TensorData, TensorType } from './types.ts';

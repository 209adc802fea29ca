/**
 * What is done to a graph for speed, by name. None of it changes results beyond the rounding of the last digits, and each
 * can be switched off, to see what it is worth and to test that it changes nothing.
 *
 * - `foldConstants`, `commonSubexpressions`: passes over the graph (src/graph/passes).
 * - `blockedConvolution`: convolutions in the engine's own layout where it has one (src/graph/ops/blocked-convolution.ts).
 * - `interleavedWeightGradient`: gradients of kernels as one convolution (src/graph/ops/weight-gradient-lowering.ts).
 */
export const optimizations = [
  'foldConstants',
  'commonSubexpressions',
  'blockedConvolution',
  'interleavedWeightGradient',
] as const;

export type Optimization = (typeof optimizations)[number];

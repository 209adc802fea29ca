import { ancestors } from './tensor.ts';
import type { Tensor } from './tensor.ts';

/**
 * Floating-point operations of matrix products and convolutions in a graph, 2 for a multiply-add, convolutions counted
 * as direct sums. Elementwise work is left out: it is bound by memory, not by arithmetic.
 */
export const countFlops = (outputs: readonly Tensor[]): number =>
  ancestors(outputs).reduce((sum, node) => sum + (node.primitive.flops?.(node) ?? 0), 0);

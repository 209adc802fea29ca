import { constant, isConstant, isInput } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { fromFloat64, sameShape, sizeOf, toFloat64 } from '../types.ts';
import { rebuild, withInputs } from './rebuild.ts';

/** Larger results are left to the engine: the naive evaluation would be slow and the model file large. */
const foldedElements = 65536;

/**
 * Computes what depends on constants alone, in float64, and drops operations that change nothing: adding 0,
 * multiplying or dividing by 1. Adding 0 may turn -0 into 0 in the original and keeps it here; nothing else changes.
 */
export function foldConstants(outputs: readonly Tensor[]): Tensor[] {
  return rebuild(outputs, (node, inputs) => {
    if (isInput(node) || isConstant(node)) return node;
    const same = unchangedOperand(node, inputs);
    if (same) return same;
    const rebuilt = withInputs(node, inputs);
    const foldable = inputs.length > 0 && inputs.every(isConstant) && sizeOf(node.shape) <= foldedElements;
    if (!foldable) return rebuilt;
    const values = inputs.map((each) => ({
      shape: each.shape,
      data: toFloat64((each as Tensor<{ data: Float64Array }>).attributes.data),
    }));
    return constant(
      fromFloat64(node.primitive.evaluate(values, node.attributes, node), node.dtype),
      node.shape,
      node.dtype,
    );
  });
}

/** The operand that an addition of 0 or a multiplication by 1 leaves as it is. */
function unchangedOperand(node: Tensor, [a, b]: readonly Tensor[]): Tensor | undefined {
  const fits = (kept: Tensor): boolean => kept.dtype === node.dtype && sameShape(kept.shape, node.shape);
  switch (node.primitive.name) {
    case 'add':
      return isAll(a, 0) && fits(b) ? b : isAll(b, 0) && fits(a) ? a : undefined;
    case 'mul':
      return isAll(a, 1) && fits(b) ? b : isAll(b, 1) && fits(a) ? a : undefined;
    case 'sub':
      return isAll(b, 0) && fits(a) ? a : undefined;
    case 'div':
      return isAll(b, 1) && fits(a) ? a : undefined;
    default:
      return undefined;
  }
}

const isAll = (tensor: Tensor, value: number): boolean =>
  isConstant(tensor) && Array.from<number | bigint>(tensor.attributes.data).every((each) => Number(each) === value);

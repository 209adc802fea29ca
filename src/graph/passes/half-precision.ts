import { cast } from '../ops/elementwise.ts';
import { ancestors, apply } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { rebuild, withInputs } from './rebuild.ts';

/** In what the products of a network are computed. */
export const precisions = ['float32', 'float16'] as const;
export type Precision = (typeof precisions)[number];

/** What is computed in float16: the operators that take nearly all of the time. */
const products: ReadonlySet<string> = new Set(['matmul', 'conv2d', 'conv2dInputGradient', 'conv2dWeightGradient']);

/** Operators that only move values, so that it makes no difference to their values on which side of them a cast is. */
const movements: ReadonlySet<string> = new Set(['reshape', 'transpose', 'slice', 'concat', 'pad', 'broadcastTo']);

/**
 * Mixed precision (Micikevicius et al. 2018): the matrix products and convolutions of a network, and their gradients, on
 * operands that are rounded to float16, with results of float16. Everything else stays float32: statistics of
 * normalisation, soft-max, loss, sums, parameters. Casts are written at the borders; where a result of float16 is only
 * moved on its way to the next product, there is none. Unlike the other passes this one changes results.
 *
 * @param outputs     a graph of element type float32
 * @param parameters  what the network's products depend on; products that depend on none of them are left alone, such as
 *                    those of a stable target. Left out: all products
 * @returns           outputs of the same shapes and element types
 */
export function halfPrecision(outputs: readonly Tensor[], parameters?: readonly Tensor[]): Tensor[] {
  const isOfNetwork = dependents(outputs, parameters);
  const casts = new Map<Tensor, Tensor>();
  const narrow = (x: Tensor): Tensor => {
    if (isWidened(x)) return x.inputs[0];
    const narrowed = casts.get(x) ?? cast(x, 'float16');
    casts.set(x, narrowed);
    return narrowed;
  };
  const inHalf = (node: Tensor, inputs: readonly Tensor[]): Tensor =>
    cast(apply(node.primitive, inputs.map(narrow), node.attributes), 'float32');
  return rebuild(outputs, (node, inputs) => {
    const { name } = node.primitive;
    const isProduct = products.has(name) && isOfNetwork(node);
    const isMovement = movements.has(name) && inputs.every(isWidened);
    return node.dtype === 'float32' && (isProduct || isMovement) ? inHalf(node, inputs) : withInputs(node, inputs);
  });
}

/** Whether a value was float16 before it became float32. */
const isWidened = ({ primitive, inputs, dtype }: Tensor): boolean =>
  primitive.name === 'cast' && dtype === 'float32' && inputs[0].dtype === 'float16';

/** Tells the nodes that depend on one of the parameters. */
function dependents(outputs: readonly Tensor[], parameters?: readonly Tensor[]): (node: Tensor) => boolean {
  if (!parameters) return () => true;
  const found = new Set(parameters);
  for (const node of ancestors(outputs)) if (node.inputs.some((each) => found.has(each))) found.add(node);
  return (node) => found.has(node);
}

import { ancestors, apply } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Copies a graph from its inputs to its outputs, node by node.
 *
 * @param outputs  the graph
 * @param replace  gives the new node for an old one, given the old node and its new inputs; returning the old node
 *   keeps it
 * @returns        the new outputs
 */
export function rebuild(
  outputs: readonly Tensor[],
  replace: (node: Tensor, inputs: readonly Tensor[]) => Tensor,
): Tensor[] {
  const replaced = new Map<Tensor, Tensor>();
  for (const node of ancestors(outputs))
    replaced.set(
      node,
      replace(
        node,
        node.inputs.map((each) => replaced.get(each)!),
      ),
    );
  return outputs.map((output) => replaced.get(output)!);
}

/** The node on other inputs; the same node when none of them changed. */
export const withInputs = (node: Tensor, inputs: readonly Tensor[]): Tensor =>
  inputs.every((each, i) => each === node.inputs[i]) ? node : apply(node.primitive, inputs, node.attributes);

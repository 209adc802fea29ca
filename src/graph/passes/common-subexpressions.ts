import { isConstant, isInput } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { bits } from '../types.ts';
import { rebuild, withInputs } from './rebuild.ts';

/** Largest constant, in elements, that is compared by value. */
const comparedElements = 4096;

/** Merges nodes that compute the same thing: the same primitive and attributes on the same inputs. */
export function commonSubexpressions(outputs: readonly Tensor[]): Tensor[] {
  const known = new Map<string, Tensor>();
  return rebuild(outputs, (node, inputs) => {
    if (isInput(node) || (isConstant(node) && node.attributes.data.length > comparedElements)) return node;
    const key = isConstant(node)
      ? `constant ${node.dtype}[${node.shape.join()}] ${Array.from<number | bigint>(node.attributes.data).map(bits).join()}`
      : `${node.primitive.name}(${inputs.map((each) => each.id).join()})${JSON.stringify(node.attributes)}`;
    const same = known.get(key);
    if (same) return same;
    const kept = withInputs(node, inputs);
    known.set(key, kept);
    return kept;
  });
}

import { ancestors, isConstant, isInput } from './tensor.ts';
import type { Tensor } from './tensor.ts';
import { sizeOf } from './types.ts';

/**
 * A graph as text, one node a line in topological order, numbered from %0: for tests and for reading.
 *
 *   %0 = input "x" float32[2, 3]
 *   %1 = constant 2 float32[]
 *   %2 = mul(%0, %1) float32[2, 3]
 *   return %2
 */
export function printGraph(outputs: readonly Tensor[]): string {
  const names = new Map<Tensor, string>();
  const lines: string[] = [];
  for (const node of ancestors(outputs)) {
    const name = `%${names.size}`;
    names.set(node, name);
    lines.push(`${name} = ${describe(node, names)} ${node.dtype}[${node.shape.join(', ')}]`);
  }
  return [...lines, `return ${outputs.map((output) => names.get(output)).join(', ')}`].join('\n');
}

function describe(node: Tensor, names: ReadonlyMap<Tensor, string>): string {
  if (isInput(node)) return `input "${node.attributes.name}"`;
  if (isConstant(node)) return sizeOf(node.shape) <= 8 ? `constant ${[...node.attributes.data].join(' ')}` : 'constant';
  const args = node.inputs.map((each) => names.get(each));
  const attributes = JSON.stringify(node.attributes ?? {});
  return `${node.primitive.name}(${args.join(', ')})${attributes === '{}' ? '' : ` ${attributes}`}`;
}

import { StfError } from '../errors.ts';
import { formatShape, input, isConstant, isInput, sizeOf } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { rebuild, withInputs } from '../graph/passes/rebuild.ts';
import { isPointwise } from './overwriting.ts';
import type { GraphSpec, StateAccess } from './runtime.ts';

/**
 * Elements that an elementwise program takes at a time: of four vectors and what is between them, about as much as fits
 * into the processor's caches.
 */
export const blockSize = 2 ** 18;

/** The length of all vectors that an elementwise program works on. @throws StfError when it is not one */
export function lengthOf({ name, outputs, state = {} }: GraphSpec): number {
  const accesses = Object.values(state);
  const [length] = accesses.map(({ current }) => sizeOf(current.shape));
  if (Object.keys(outputs).length > 0 || length === undefined)
    throw new StfError(`${name}: an elementwise program replaces state and has no outputs.`);
  for (const { current } of accesses)
    if (current.shape.length !== 1 || current.shape[0] !== length)
      throw new StfError(
        `${name}: the entries of an elementwise program are vectors of one length, got ${formatShape(current.shape)} beside [${length}].`,
      );
  return length;
}

/**
 * An elementwise program on vectors of another length.
 *
 * @throws StfError when it is not elementwise
 */
export function resized(spec: GraphSpec, size: number): GraphSpec {
  const state = Object.entries(spec.state ?? {});
  const smaller = new Map<Tensor, Tensor>();
  for (const [, { current }] of state)
    if (isInput(current)) smaller.set(current, input(current.attributes.name, [size], current.dtype));
  const replaced = state.flatMap(([, { next }]) => (next ? [next] : []));
  const rebuilt = rebuild(replaced, (node, inputs) => {
    const found = smaller.get(node);
    if (found) return found;
    const isScalar = sizeOf(node.shape) === 1;
    if (isScalar && (isInput(node) || isConstant(node))) return node;
    if (!isPointwise(node))
      throw new StfError(
        `${spec.name}: an elementwise program can't hold "${node.primitive.name}" ${formatShape(node.shape)}.`,
      );
    return withInputs(node, inputs);
  });
  const next = new Map(replaced.map((tensor, i) => [tensor, rebuilt[i]]));
  const accesses = state.map(([name, access]): [string, StateAccess] => [
    name,
    {
      current: smaller.get(access.current) ?? access.current,
      ...(access.next && { next: next.get(access.next)! }),
    },
  ]);
  return { name: spec.name, outputs: {}, state: Object.fromEntries(accesses) };
}

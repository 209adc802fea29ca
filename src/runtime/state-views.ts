import { ancestors, input, isInput, sizeOf } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { rebuild, withInputs } from '../graph/passes/rebuild.ts';

/** A tensor that makes up part of a vector, and where in it its elements begin. */
export interface Placed {
  readonly tensor: Tensor;
  readonly offset: number;
}

/** What a new value is joined of, when it is one vector joined of flattened pieces; else itself. */
export function partsOf(value: Tensor): Placed[] {
  if (value.primitive.name !== 'concat' || value.shape.length !== 1) return [{ tensor: value, offset: 0 }];
  let end = 0;
  return value.inputs.map((piece) => {
    const offset = end;
    end += sizeOf(piece.shape);
    return { tensor: piece.primitive.name === 'reshape' ? piece.inputs[0] : piece, offset };
  });
}

/** Part of a state entry that a graph input holds. */
export interface View {
  readonly entry: string;
  readonly offset: number;
}

/**
 * Lets a graph read slices of its state through inputs of their own, where it reads an entry, one vector, in no other
 * way: the parameters of a network in one flat vector.
 *
 * @param outputs  the graph
 * @param entryOf  state entries by the name of the input that holds them
 * @returns        the graph, and what each of its new inputs holds
 */
export function viewsOfInputs(
  outputs: Readonly<Record<string, Tensor>>,
  entryOf: ReadonlyMap<string, string>,
): { outputs: Record<string, Tensor>; views: ReadonlyMap<string, View> } {
  const names = Object.keys(outputs);
  const given = Object.values(outputs);
  const sliced = onlySliced(given, entryOf);
  const views = new Map<string, View>();
  const made = new Map<string, Tensor>();
  const view = (slice: Tensor, { shape, dtype }: Tensor): Tensor => {
    const [vector] = slice.inputs as [Tensor<{ name: string }>];
    const { start } = slice.attributes as { start: number };
    const name = `${vector.attributes.name}[${start}] ${shape.join('x')}`;
    const known = made.get(name) ?? input(name, shape, dtype);
    made.set(name, known);
    views.set(name, { entry: entryOf.get(vector.attributes.name)!, offset: start });
    return known;
  };
  const isSlice = (node: Tensor): boolean => node.primitive.name === 'slice' && sliced.has(node.inputs[0]);
  const rebuilt = rebuild(given, (node, inputs) => {
    if (isInput(node)) return node;
    if (isSlice(node)) return view(node, node);
    if (node.primitive.name === 'reshape' && isSlice(node.inputs[0])) return view(node.inputs[0], node);
    return withInputs(node, inputs);
  });
  return { outputs: Object.fromEntries(names.map((name, i) => [name, rebuilt[i]])), views };
}

/** The vectors of state that a graph does nothing with but to slice them. */
function onlySliced(outputs: readonly Tensor[], entryOf: ReadonlyMap<string, string>): Set<Tensor> {
  const nodes = ancestors(outputs);
  const vectors = new Set(
    nodes.filter((node) => isInput(node) && entryOf.has(node.attributes.name) && node.shape.length === 1),
  );
  for (const each of outputs) vectors.delete(each);
  for (const node of nodes) if (node.primitive.name !== 'slice') for (const each of node.inputs) vectors.delete(each);
  return vectors;
}

import { StfError } from '../errors.ts';
import { ancestors, isInput, sizeOf } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Signature, StatePart } from './signature.ts';

/** Operators whose every element is made of the elements at the same place, so that they may write over an operand. */
const pointwise: ReadonlySet<string> = new Set([
  'add',
  'sub',
  'mul',
  'div',
  'neg',
  'sqrt',
  'square',
  'maximum',
  'minimum',
  'where',
]);

export const isPointwise = ({ primitive }: Tensor): boolean => pointwise.has(primitive.name);

/**
 * Makes sure that new values may be written over old ones while the graph runs: what depends on an old value works element
 * by element at the same places, and whatever reads it is done before, or is, the operator that writes over it. The engine
 * joins and moves operators of other kinds, so that nobody knows when they read.
 *
 * @param isOverwritten  which entries are written over
 * @throws StfError when something could read a value that is gone
 */
export function requireOverwritable(
  name: string,
  { outputs, reads, writes }: Signature,
  isOverwritten: (entry: string) => boolean,
): void {
  const graph = readersOf(Object.values(outputs));
  for (const [output, written] of writes) {
    if (!isOverwritten(written.entry)) continue;
    const writer = outputs[output];
    const isFirst = lazy(() => new Set(ancestors([writer])));
    for (const [input, part] of reads) {
      if (!overlap(part, written)) continue;
      const node = graph.inputs.get(input);
      const isSafe =
        node === undefined ||
        (sameRange(part, written) &&
          dependants(node, graph.readers, writer).every((each) => isPointwise(each) || isReshape(each)) &&
          graph.readers.get(node)!.every((reader) => reader === writer || isFirst().has(reader)));
      if (isSafe && !isCopied(input, part)) continue;
      throw new StfError(
        `${name}: state "${written.entry}" can't be written over: its old value could be read after its new one is there.`,
      );
    }
  }

  /** Whether the engine copies the input to an output, nobody knows when; a copy to where it comes from is harmless. */
  function isCopied(input: string, part: StatePart): boolean {
    return Object.entries(outputs).some(([output, tensor]) => {
      const target = writes.get(output);
      const isSame = target !== undefined && target.entry === part.entry && sameRange(target, part);
      return isInput(tensor) && tensor.attributes.name === input && !isSame;
    });
  }
}

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

interface Readers {
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** The nodes that take each node as an operand. */
  readonly readers: ReadonlyMap<Tensor, readonly Tensor[]>;
}

function readersOf(outputs: readonly Tensor[]): Readers {
  const nodes = ancestors(outputs);
  const readers = new Map<Tensor, Tensor[]>(nodes.map((node) => [node, []]));
  for (const node of nodes) for (const each of new Set(node.inputs)) readers.get(each)!.push(node);
  return { inputs: new Map(nodes.filter(isInput).map((node) => [node.attributes.name, node as Tensor])), readers };
}

/** All nodes that depend on one, in no special order; what depends on it through `last` alone is left out. */
function dependants(node: Tensor, readers: Readers['readers'], last: Tensor): Tensor[] {
  const found = new Set<Tensor>();
  const stack = [...readers.get(node)!];
  for (let each = stack.pop(); each; each = stack.pop()) {
    if (found.has(each)) continue;
    found.add(each);
    if (each !== last) stack.push(...readers.get(each)!);
  }
  return [...found];
}

const isReshape = ({ primitive }: Tensor): boolean => primitive.name === 'reshape';

const end = ({ offset, type }: StatePart): number => offset + sizeOf(type.shape);

const overlap = (a: StatePart, b: StatePart): boolean => a.entry === b.entry && a.offset < end(b) && b.offset < end(a);

const sameRange = (a: StatePart, b: StatePart): boolean => a.offset === b.offset && end(a) === end(b);

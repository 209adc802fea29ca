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
]);

export const isPointwise = ({ primitive }: Tensor): boolean => pointwise.has(primitive.name);

/**
 * Makes sure that new values may be written over old ones while the graph runs: whatever reads an old value must be done
 * before the operator that writes over it, or be that operator, working element by element.
 *
 * @param isOverwritten  which entries are written over
 * @throws StfError when something could read a value that is gone
 */
export function requireOverwritable(
  name: string,
  { outputs, reads, writes }: Signature,
  isOverwritten: (entry: string) => boolean,
): void {
  const readers = readersOfInputs(Object.values(outputs));
  for (const [output, written] of writes) {
    if (!isOverwritten(written.entry)) continue;
    const writer = outputs[output];
    const isFirst = lazy(() => new Set(ancestors([writer])));
    for (const [input, part] of reads) {
      if (!overlap(part, written)) continue;
      const isSafe = (readers.get(input) ?? []).every((reader) =>
        reader === writer ? isPointwise(writer) && sameRange(part, written) : isFirst().has(reader),
      );
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

/** The nodes that read each input, by its name; a reshaped input is still the input. */
function readersOfInputs(outputs: readonly Tensor[]): Map<string, Tensor[]> {
  const readers = new Map<string, Tensor[]>();
  const source = new Map<Tensor, string>();
  for (const node of ancestors(outputs)) {
    if (isInput(node)) source.set(node, node.attributes.name);
    for (const each of node.inputs) {
      const name = source.get(each);
      if (name === undefined) continue;
      if (node.primitive.name === 'reshape') source.set(node, name);
      readers.set(name, [...(readers.get(name) ?? []), node]);
    }
  }
  return readers;
}

const end = ({ offset, type }: StatePart): number => offset + sizeOf(type.shape);

const overlap = (a: StatePart, b: StatePart): boolean => a.entry === b.entry && a.offset < end(b) && b.offset < end(a);

const sameRange = (a: StatePart, b: StatePart): boolean => a.offset === b.offset && end(a) === end(b);

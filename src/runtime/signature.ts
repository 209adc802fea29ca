import { UsageError } from '../errors.ts';
import { allocate, ancestors, formatShape, isInput, optimize, sizeOf } from '../graph/index.ts';
import type { Optimization, Tensor, TensorData, TensorType } from '../graph/index.ts';
import type { GraphSpec } from './runtime.ts';
import { partsOf, viewsOfInputs } from './state-views.ts';
import type { View } from './state-views.ts';

/** Consecutive elements of a state entry, in the shape that the graph gives them. */
export interface StatePart {
  readonly entry: string;
  /** Where in the entry they begin. */
  readonly offset: number;
  readonly type: TensorType;
}

/** A graph made ready for an engine: optimised outputs and the types of everything that goes in and out. */
export interface Signature {
  /** Inputs that the caller supplies at each run. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  /** State entries that the graph reads or replaces. */
  readonly entries: ReadonlyMap<string, TensorType>;
  /** What each graph input reads that is fed from state. */
  readonly reads: ReadonlyMap<string, StatePart>;
  /** What each graph output replaces that goes to state. */
  readonly writes: ReadonlyMap<string, StatePart>;
  /** All outputs of the graph: results, then new state. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Names of the results. */
  readonly results: readonly string[];
}

const nextName = (entry: string): string => `next.${entry}`;

/**
 * Works out what a program needs and gives, and optimises its graph.
 *
 * @param options.parts  let the graph read slices of an entry, and write the pieces that a new value is joined of, one by
 *   one: in the host's memory they are views, and nothing is copied
 * @param options.without  optimisations that are switched off
 */
export function describeGraph(
  spec: GraphSpec,
  { parts = false, without }: { parts?: boolean; without?: ReadonlySet<Optimization> | undefined } = {},
): Signature {
  const state = Object.entries(spec.state ?? {});
  const replaced = state.flatMap(([name, { next }]) => (next ? [[nextName(name), next] as const] : []));
  const named = [...Object.entries(spec.outputs), ...replaced];
  const optimized = optimize(
    named.map(([, tensor]) => tensor),
    { without },
  );
  const whole = Object.fromEntries(named.map(([name], i) => [name, optimized[i]]));
  for (const [name, { dtype }] of Object.entries(whole))
    if (dtype === 'float16') throw new UsageError(`${spec.name}: output "${name}" is float16: cast it to float32.`);
  const entries = new Map<string, TensorType>();
  const entryOf = new Map<string, string>();
  for (const [name, { current, next }] of state) {
    if (!isInput(current)) throw new UsageError(`${spec.name}: state "${name}" must be read through a graph input.`);
    if (next && (next.dtype !== current.dtype || formatShape(next.shape) !== formatShape(current.shape))) {
      throw new UsageError(
        `${spec.name}: state "${name}" is ${current.dtype} ${formatShape(current.shape)}, its new value ${next.dtype} ${formatShape(next.shape)}.`,
      );
    }
    entries.set(name, { shape: current.shape, dtype: current.dtype });
    entryOf.set(current.attributes.name, name);
  }

  const writes = new Map<string, StatePart>();
  const split: Record<string, Tensor> = Object.fromEntries(
    Object.keys(spec.outputs).map((name) => [name, whole[name]]),
  );
  for (const [name, { next }] of state) {
    if (!next) continue;
    const all = parts ? partsOf(whole[nextName(name)]) : [{ tensor: whole[nextName(name)], offset: 0 }];
    all.forEach(({ tensor, offset }, i) => {
      const output = all.length === 1 ? nextName(name) : `${nextName(name)}.${i}`;
      split[output] = tensor;
      writes.set(output, { entry: name, offset, type: tensor });
    });
  }
  refuseTwins(spec.name, optimized);
  const { outputs, views } = parts ? viewsOfInputs(split, entryOf) : { outputs: split, views: new Map<string, View>() };
  const present = new Map(
    ancestors(Object.values(outputs))
      .filter(isInput)
      .map((tensor) => [tensor.attributes.name, tensor as TensorType]),
  );
  const reads = new Map<string, StatePart>();
  for (const [input, type] of present) {
    const view = views.get(input);
    const entry = view?.entry ?? entryOf.get(input);
    if (entry !== undefined) reads.set(input, { entry, offset: view?.offset ?? 0, type });
  }
  for (const input of reads.keys()) present.delete(input);
  const used = new Set([...reads.values(), ...writes.values()].map(({ entry }) => entry));
  for (const name of [...entries.keys()]) if (!used.has(name)) entries.delete(name);
  return { inputs: present, entries, reads, writes, outputs, results: Object.keys(spec.outputs) };
}

/** @throws UsageError when two inputs have one name: one of them would get the other's values */
function refuseTwins(name: string, outputs: readonly Tensor[]): void {
  const seen = new Set<string>();
  for (const { attributes } of ancestors(outputs).filter(isInput)) {
    if (seen.has(attributes.name)) throw new UsageError(`${name}: two inputs are named "${attributes.name}".`);
    seen.add(attributes.name);
  }
}

/** Checks the values of a run against what the program needs. */
export function checkInputs(
  name: string,
  needed: ReadonlyMap<string, TensorType>,
  given: Readonly<Record<string, TensorData>>,
): void {
  for (const [key, { shape, dtype }] of needed) {
    const value = given[key];
    if (!value) throw new UsageError(`${name}: input "${key}" (${dtype} ${formatShape(shape)}) is missing.`);
    const fits = value.constructor === allocate(dtype, 0).constructor && value.length === sizeOf(shape);
    if (!fits) {
      throw new UsageError(
        `${name}: input "${key}" must be ${dtype} ${formatShape(shape)}, ${sizeOf(shape)} values, got ${value.constructor.name} of ${value.length}.`,
      );
    }
  }
  const unknown = Object.keys(given).find((key) => !needed.has(key));
  if (unknown)
    throw new UsageError(`${name}: there is no input "${unknown}". Inputs are: ${[...needed.keys()].join(', ')}.`);
}

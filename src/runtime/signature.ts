import { UsageError } from '../errors.ts';
import { allocate, ancestors, formatShape, isInput, optimize, sizeOf } from '../graph/index.ts';
import type { Optimization, Tensor, TensorData, TensorType } from '../graph/index.ts';
import type { GraphSpec } from './runtime.ts';

/** A graph made ready for an engine: optimised outputs and the types of everything that goes in and out. */
export interface Signature {
  /** Inputs that the caller supplies at each run. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  /** State entries by name, with the name of the graph input that reads them. */
  readonly reads: ReadonlyMap<string, { input: string; type: TensorType }>;
  /** State entries that the graph replaces, with the name of the graph output that holds the new value. */
  readonly writes: ReadonlyMap<string, string>;
  /** All outputs of the graph: results, then new state. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Names of the results. */
  readonly results: readonly string[];
}

const nextName = (entry: string): string => `next.${entry}`;

/** Works out what a program needs and gives, and optimises its graph. */
export function describeGraph(spec: GraphSpec, without?: ReadonlySet<Optimization>): Signature {
  const state = Object.entries(spec.state ?? {});
  const replaced = state.flatMap(([name, { next }]) => (next ? [[nextName(name), next] as const] : []));
  const named = [...Object.entries(spec.outputs), ...replaced];
  const optimized = optimize(
    named.map(([, tensor]) => tensor),
    { without },
  );
  const outputs = Object.fromEntries(named.map(([name], i) => [name, optimized[i]]));
  const present = new Map(
    ancestors(optimized)
      .filter(isInput)
      .map((tensor) => [tensor.attributes.name, tensor as TensorType]),
  );
  const reads = new Map<string, { input: string; type: TensorType }>();
  for (const [name, { current, next }] of state) {
    if (!isInput(current)) throw new UsageError(`${spec.name}: state "${name}" must be read through a graph input.`);
    if (next && (next.dtype !== current.dtype || formatShape(next.shape) !== formatShape(current.shape))) {
      throw new UsageError(
        `${spec.name}: state "${name}" is ${current.dtype} ${formatShape(current.shape)}, its new value ${next.dtype} ${formatShape(next.shape)}.`,
      );
    }
    const input = current.attributes.name;
    if (present.delete(input)) reads.set(name, { input, type: { shape: current.shape, dtype: current.dtype } });
  }
  return {
    inputs: present,
    reads,
    writes: new Map(state.flatMap(([name, { next }]) => (next ? [[name, nextName(name)] as const] : []))),
    outputs,
    results: Object.keys(spec.outputs),
  };
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

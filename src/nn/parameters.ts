import { ShapeError, UsageError } from '../errors.ts';
import { formatShape, input, reshape, sizeOf, slice, stopGradient } from '../graph/index.ts';
import type { DType, Shape, Tensor } from '../graph/index.ts';
import { streams } from '../numerics/random.ts';
import { fillInitial } from './initialization.ts';
import type { Initialization } from './initialization.ts';

/** One learned tensor: its PyTorch state-dict name, shape, and how it starts. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly initialization: Initialization;
  /** False for buffers: fixed values that belong to the checkpoint, such as random frequencies. */
  readonly trained: boolean;
}

/** Where a network gets its parameters from, by name. A network asks for each exactly once, in a fixed order. */
export interface ParameterSource {
  get(name: string, shape: Shape, initialization: Initialization): Tensor;
  /** A fixed tensor that belongs to the checkpoint; no gradient flows into it. */
  buffer(name: string, shape: Shape, initialization: Initialization): Tensor;
}

/** The parameters of a network as one flat vector: where each begins. */
export interface ParameterTable {
  readonly specs: readonly ParameterSpec[];
  /** Offset of each parameter in the flat vector, by name. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Length of the flat vector, buffers included. */
  readonly size: number;
  /** Number of trained parameters. */
  readonly trained: number;
}

/**
 * Lists the parameters that a network asks for, by letting it ask once.
 *
 * @param build  builds the network, or anything that asks a source for its parameters
 */
export function parameterTable(build: (source: ParameterSource) => unknown, dtype: DType = 'float32'): ParameterTable {
  const specs: ParameterSpec[] = [];
  const offsets = new Map<string, number>();
  let size = 0;
  const ask =
    (trained: boolean) =>
    (name: string, shape: Shape, initialization: Initialization): Tensor => {
      if (offsets.has(name)) throw new UsageError(`parameter "${name}" is asked for twice.`);
      offsets.set(name, size);
      specs.push({ name, shape, initialization, trained });
      size += sizeOf(shape);
      return input(name, shape, dtype);
    };
  build({ get: ask(true), buffer: ask(false) });
  const trained = specs.reduce((sum, spec) => sum + (spec.trained ? sizeOf(spec.shape) : 0), 0);
  return { specs, offsets, size, trained };
}

/**
 * Gives out pieces of one flat vector tensor [size]; `pieces` collects what was given out, in the order of the table,
 * for differentiation by each: the gradient of a slice of the whole would be as long as the whole.
 */
export function fromFlat(table: ParameterTable, flat: Tensor): { source: ParameterSource; pieces: readonly Tensor[] } {
  const pieces = table.specs.map(({ name, shape }) => {
    const offset = table.offsets.get(name)!;
    return reshape(slice(flat, 0, offset, offset + sizeOf(shape)), shape);
  });
  const byName = new Map(table.specs.map(({ name }, index) => [name, pieces[index]] as const));
  const get = (name: string): Tensor => {
    const piece = byName.get(name);
    if (!piece) throw new UsageError(`there is no parameter "${name}".`);
    return piece;
  };
  return { source: { get, buffer: (name) => stopGradient(get(name)) }, pieces };
}

/** Adds a prefix to every name: the child module of that name. */
export const scope = (source: ParameterSource, prefix: string): ParameterSource => ({
  get: (name, shape, initialization) => source.get(`${prefix}.${name}`, shape, initialization),
  buffer: (name, shape, initialization) => source.buffer(`${prefix}.${name}`, shape, initialization),
});

/**
 * Starting values of all parameters, one flat vector. The draws of parameter k, in the order of the table, are a
 * function of (seed, k, element).
 */
export function initialize(table: ParameterTable, seed: number): Float32Array {
  const flat = new Float32Array(table.size);
  table.specs.forEach(({ name, shape, initialization }, sample) => {
    const offset = table.offsets.get(name)!;
    const values = flat.subarray(offset, offset + sizeOf(shape));
    fillInitial(values, initialization, { seed, stream: streams.initialization, step: 0, sample });
  });
  return flat;
}

/** @throws ShapeError when a flat vector called `name` has not as many values as the table */
export function requireFlat({ size }: ParameterTable, flat: { readonly length: number }, name = 'weights'): void {
  if (flat.length !== size)
    throw new ShapeError(`${name}: the network has ${size} parameters, got ${flat.length} values.`);
}

/**
 * Views of one flat vector of values, by parameter name. Writing to a view writes to the vector.
 *
 * @throws ShapeError when the vector has more or fewer values than the table
 */
export function viewsOf<T extends Float32Array | Float64Array>(
  table: ParameterTable,
  flat: T,
): Map<string, { shape: Shape; data: T }> {
  requireFlat(table, flat);
  return new Map(
    table.specs.map(({ name, shape }) => {
      const offset = table.offsets.get(name)!;
      return [name, { shape, data: flat.subarray(offset, offset + sizeOf(shape)) as T }];
    }),
  );
}

/**
 * Puts named values into one flat vector.
 *
 * @throws UsageError when a parameter is missing, has another shape, or a value belongs to no parameter
 */
export function flatten(
  table: ParameterTable,
  values: ReadonlyMap<string, { shape: Shape; data: ArrayLike<number> }>,
  { ignore = () => false }: { ignore?: (name: string) => boolean } = {},
): Float32Array {
  const flat = new Float32Array(table.size);
  for (const { name, shape } of table.specs) {
    const value = values.get(name);
    if (!value)
      throw new UsageError(
        `the checkpoint has no parameter "${name}" ${formatShape(shape)}: it belongs to another network.`,
      );
    if (sizeOf(value.shape) !== sizeOf(shape) || value.shape.join() !== shape.join()) {
      throw new UsageError(
        `parameter "${name}" has shape ${formatShape(shape)} here and ${formatShape(value.shape)} in the checkpoint: it belongs to another network.`,
      );
    }
    if (value.data.length !== sizeOf(shape)) {
      throw new UsageError(`parameter "${name}" has shape ${formatShape(shape)} but ${value.data.length} values.`);
    }
    flat.set(value.data, table.offsets.get(name));
  }
  const unknown = [...values.keys()].find((name) => !table.offsets.has(name) && !ignore(name));
  if (unknown)
    throw new UsageError(
      `the checkpoint has a parameter "${unknown}" that this network lacks: it belongs to another network.`,
    );
  return flat;
}

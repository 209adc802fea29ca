import { UsageError } from '../errors.ts';
import { allocate, formatShape, sizeOf } from '../graph/index.ts';
import type { DType, Shape, TensorData, TensorType } from '../graph/index.ts';
import { toOrt } from './ort.ts';
import type { OrtApi, OrtTensor } from './ort.ts';
import type { State } from './runtime.ts';

/** Initial values of state, by name. */
export type StateEntries = Readonly<Record<string, { shape: Shape; dtype: DType; data: TensorData }>>;

/** State as a program of ONNX Runtime uses it. */
export interface EngineState extends State {
  /** The present value, where the engine reads it fastest. */
  front(name: string): Promise<OrtTensor>;
  /** Where the engine writes the new value; null lets it choose. */
  back(name: string): OrtTensor | null;
  /** Makes the value that the engine wrote the present one, or drops it. */
  settle(name: string, written: OrtTensor, isAccepted: boolean): void;
}

/** Finds an entry, or says which ones there are. */
export function known<T>(entries: ReadonlyMap<string, unknown>, map: ReadonlyMap<string, T>, name: string): T {
  const found = map.get(name);
  if (!found) throw new UsageError(`there is no state "${name}". Entries are: ${[...entries.keys()].join(', ')}.`);
  return found;
}

/** @throws UsageError when a program reads an entry as something else than it is */
export function checkEntry(entries: ReadonlyMap<string, TensorType>, name: string, type: TensorType): void {
  const own = known(entries, entries, name);
  if (own.dtype !== type.dtype || formatShape(own.shape) !== formatShape(type.shape)) {
    throw new UsageError(
      `state "${name}" is ${own.dtype} ${formatShape(own.shape)}, the program reads ${type.dtype} ${formatShape(type.shape)}.`,
    );
  }
}

/** @throws UsageError when data do not fit an entry */
export function checkData(name: string, { dtype, shape }: TensorType, data: TensorData): void {
  const kind = allocate(dtype, 0).constructor;
  const size = sizeOf(shape);
  if (kind !== data.constructor || size !== data.length) {
    throw new UsageError(
      `state "${name}" holds ${kind.name} of ${size} values, got ${data.constructor.name} of ${data.length}.`,
    );
  }
}

/**
 * State in the host's memory, two buffers an entry: a run reads the front one and writes the back one, then they change
 * places. Nothing is copied.
 */
export class HostState implements EngineState {
  readonly entries = new Map<string, TensorType>();
  private readonly fronts = new Map<string, OrtTensor>();
  private readonly backs = new Map<string, OrtTensor>();

  constructor(
    private readonly api: OrtApi,
    entries: StateEntries,
  ) {
    for (const [name, { shape, dtype, data }] of Object.entries(entries)) {
      this.entries.set(name, { shape, dtype });
      this.fronts.set(name, this.empty({ shape, dtype }));
      this.write(name, data);
    }
  }

  private empty({ shape, dtype }: TensorType): OrtTensor {
    return toOrt(this.api, 'all', dtype, allocate(dtype, sizeOf(shape)), shape);
  }

  front(name: string): Promise<OrtTensor> {
    return Promise.resolve(this.fronts.get(name)!);
  }

  back(name: string): OrtTensor {
    const made = this.backs.get(name) ?? this.empty(known(this.entries, this.entries, name));
    this.backs.set(name, made);
    return made;
  }

  settle(name: string, _written: OrtTensor, isAccepted: boolean): void {
    if (!isAccepted) return;
    const front = this.fronts.get(name)!;
    this.fronts.set(name, this.backs.get(name)!);
    this.backs.set(name, front);
  }

  read(name: string): Promise<TensorData> {
    return Promise.resolve((known(this.entries, this.fronts, name).data as TensorData).slice() as TensorData);
  }

  write(name: string, data: TensorData): void {
    checkData(name, known(this.entries, this.entries, name), data);
    (this.fronts.get(name)!.data as Float32Array).set(data as Float32Array);
  }
}

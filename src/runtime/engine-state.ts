import { UsageError } from '../errors.ts';
import { allocate, formatShape, sizeOf } from '../graph/index.ts';
import type { DType, Shape, TensorData, TensorType } from '../graph/index.ts';
import { toOrt } from './ort.ts';
import type { OrtApi, OrtTensor } from './ort.ts';
import type { State } from './runtime.ts';
import type { Serial } from './serial.ts';
import type { StatePart } from './signature.ts';

/** Initial values of state, by name; zeros where there are none. */
export type StateEntries = Readonly<Record<string, { shape: Shape; dtype: DType; data?: TensorData }>>;

/** State as a program of ONNX Runtime uses it. */
export interface EngineState extends State {
  /** The present value of part of an entry, where the engine reads it fastest. */
  source(part: StatePart): Promise<OrtTensor>;
  /**
   * Where the engine writes the new value of part of an entry; null lets it choose.
   *
   * @param over  write over the old value
   */
  target(part: StatePart, over: boolean): OrtTensor | null;
  /** Makes the value that the engine wrote the present one of the entry, or drops it. */
  settle(entry: string, written: OrtTensor, isAccepted: boolean, over: boolean): void;
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

/** Values of one entry, as the engine's tensors: each part is made once. */
class HostBuffer {
  private readonly tensors = new Map<string, OrtTensor>();

  constructor(
    private readonly api: OrtApi,
    readonly data: TensorData,
  ) {}

  part({ offset, type: { shape, dtype } }: StatePart): OrtTensor {
    const key = `${offset} ${shape.join()}`;
    const known = this.tensors.get(key);
    if (known) return known;
    const view = this.data.subarray(offset, offset + sizeOf(shape));
    const made = toOrt(this.api, 'all', dtype, view, shape);
    this.tensors.set(key, made);
    return made;
  }
}

/**
 * State in the host's memory. A run reads the present buffer of an entry and writes a second one, then they change places,
 * or it writes over the present one. Nothing is copied.
 */
export class HostState implements EngineState {
  readonly entries = new Map<string, TensorType>();
  private readonly fronts = new Map<string, HostBuffer>();
  private readonly backs = new Map<string, HostBuffer>();

  /** Programs that are half way through its vectors. */
  private underWay = 0;

  /** @param queue  of the runtime: what is read is what a whole run left */
  constructor(
    private readonly api: OrtApi,
    private readonly queue: Serial,
    entries: StateEntries,
  ) {
    for (const [name, { shape, dtype, data }] of Object.entries(entries)) {
      this.entries.set(name, { shape, dtype });
      this.fronts.set(name, this.empty({ shape, dtype }));
      if (data) this.write(name, data);
    }
  }

  private empty({ shape, dtype }: TensorType): HostBuffer {
    return new HostBuffer(this.api, allocate(dtype, sizeOf(shape)));
  }

  source(part: StatePart): Promise<OrtTensor> {
    return Promise.resolve(this.fronts.get(part.entry)!.part(part));
  }

  target(part: StatePart, over: boolean): OrtTensor {
    const { entry } = part;
    if (over) return this.fronts.get(entry)!.part(part);
    const back = this.backs.get(entry) ?? this.empty(known(this.entries, this.entries, entry));
    this.backs.set(entry, back);
    return back.part(part);
  }

  settle(entry: string, _written: OrtTensor, isAccepted: boolean, over: boolean): void {
    if (over || !isAccepted) return;
    const front = this.fronts.get(entry)!;
    this.fronts.set(entry, this.backs.get(entry)!);
    this.backs.set(entry, front);
  }

  /** Goes through the vectors in pieces; nothing may be written to them meanwhile. */
  async inPieces(work: () => Promise<void>): Promise<void> {
    this.underWay++;
    try {
      await work();
    } finally {
      this.underWay--;
    }
  }

  read(name: string): Promise<TensorData> {
    known(this.entries, this.fronts, name);
    return this.queue(() => Promise.resolve(this.fronts.get(name)!.data.slice() as TensorData));
  }

  look<T>(name: string, use: (data: TensorData) => Promise<T>): Promise<T> {
    known(this.entries, this.fronts, name);
    return this.queue(() => use(this.fronts.get(name)!.data));
  }

  update(name: string, change: (data: TensorData) => Promise<void>): Promise<void> {
    known(this.entries, this.fronts, name);
    return this.queue(() => change(this.fronts.get(name)!.data));
  }

  write(name: string, data: TensorData): void {
    checkData(name, known(this.entries, this.entries, name), data);
    if (this.underWay > 0)
      throw new UsageError(`state "${name}" can't be written while a program works on it: wait for its run to end.`);
    (this.fronts.get(name)!.data as Float32Array).set(data as Float32Array);
  }
}

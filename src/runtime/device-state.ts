import { allocate, input, sizeOf, toOnnx } from '../graph/index.ts';
import type { TensorData, TensorType } from '../graph/index.ts';
import { checkData, known } from './engine-state.ts';
import type { EngineState, StateEntries } from './engine-state.ts';
import { fromOrt, toOrt } from './ort.ts';
import type { InferenceSession, OrtApi, OrtTensor, Widths } from './ort.ts';
import type { Serial } from './serial.ts';
import type { StatePart } from './signature.ts';

/** Where state is kept between runs: `gpu-buffer` on a graphics card, `cpu` where the engine owns its results. */
type Location = 'gpu-buffer' | 'cpu';

/** The memory of one device. */
export interface DeviceMemory {
  readonly api: OrtApi;
  readonly queue: Serial;
  readonly location: Location;
  readonly widths: Widths;
  readonly transfers: Transfers;
}

/**
 * Copies tensors to the device and back. Reading a tensor of the device directly ends the process in ONNX Runtime 1.30
 * for Node, so each way is a session that does nothing but to have its result in the other place, one for every shape.
 */
export class Transfers {
  private readonly sessions = new Map<string, Promise<InferenceSession>>();

  /** @param options  of every session */
  constructor(
    private readonly api: OrtApi,
    private readonly options: InferenceSession.SessionOptions,
  ) {}

  /** To be called from within the device's queue. */
  async move(tensor: OrtTensor, to: Location, { shape, dtype }: TensorType): Promise<OrtTensor> {
    const key = `${to} ${dtype} ${shape.join()}`;
    let session = this.sessions.get(key);
    if (!session) {
      const model = toOnnx(
        { result: input('value', shape, dtype) },
        { name: 'transfer', dialect: 'onnxruntime-32-bit' },
      );
      session = this.api.InferenceSession.create(model, {
        ...this.options,
        preferredOutputLocation: to,
      });
      this.sessions.set(key, session);
    }
    return (await (await session).run({ value: tensor })).result;
  }
}

/**
 * State that stays where the engine puts its results. What the host wrote goes there when a program first reads it; what
 * a run makes takes the place of what it read.
 */
export class DeviceState implements EngineState {
  readonly entries = new Map<string, TensorType>();
  private readonly fronts = new Map<string, OrtTensor>();

  constructor(
    private readonly memory: DeviceMemory,
    entries: StateEntries,
  ) {
    for (const [name, { shape, dtype, data }] of Object.entries(entries)) {
      this.entries.set(name, { shape, dtype });
      this.write(name, data ?? allocate(dtype, sizeOf(shape)));
    }
  }

  async source({ entry: name }: StatePart): Promise<OrtTensor> {
    const present = this.fronts.get(name)!;
    const { location } = this.memory;
    if (present.location === location || sizeOf(present.dims) === 0) return present;
    const moved = await this.memory.transfers.move(present, location, this.entries.get(name)!);
    this.fronts.set(name, moved);
    return moved;
  }

  target({ entry }: StatePart): null {
    known(this.entries, this.entries, entry);
    return null;
  }

  settle(name: string, written: OrtTensor, isAccepted: boolean): void {
    const dropped = isAccepted ? this.fronts.get(name)! : written;
    if (isAccepted) this.fronts.set(name, written);
    if (dropped.location !== 'cpu') dropped.dispose();
  }

  read(name: string): Promise<TensorData> {
    known(this.entries, this.entries, name);
    return this.memory.queue(() => this.copy(name));
  }

  look<T>(name: string, use: (data: TensorData) => Promise<T>): Promise<T> {
    known(this.entries, this.entries, name);
    return this.memory.queue(async () => use(await this.copy(name)));
  }

  update(name: string, change: (data: TensorData) => Promise<void>): Promise<void> {
    known(this.entries, this.entries, name);
    return this.memory.queue(async () => {
      const data = await this.copy(name);
      await change(data);
      this.write(name, data);
    });
  }

  /** To be called from within the device's queue. */
  private async copy(name: string): Promise<TensorData> {
    const type = this.entries.get(name)!;
    const present = this.fronts.get(name)!;
    const onHost = present.location === 'cpu' ? present : await this.memory.transfers.move(present, 'cpu', type);
    return fromOrt(onHost, type.dtype).slice();
  }

  write(name: string, data: TensorData): void {
    const { shape, dtype } = known(this.entries, this.entries, name);
    checkData(name, { shape, dtype }, data);
    const before = this.fronts.get(name);
    this.fronts.set(name, toOrt(this.memory.api, this.memory.widths, dtype, data.slice(), shape));
    if (before && before.location !== 'cpu') before.dispose();
  }
}

import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { StfError, UsageError } from '../errors.ts';
import { allocate, formatShape, sizeOf, toOnnx } from '../graph/index.ts';
import type { DType, Shape, TensorData, TensorType } from '../graph/index.ts';
import { checkInputs, describeGraph } from '../runtime/index.ts';
import type { GraphSpec, Program, Runtime, Signature, State } from '../runtime/index.ts';

export interface NodeRuntimeOptions {
  /** Threads one operator may use; all cores by default. ONNX Runtime's own default sets affinities and fails in containers. */
  readonly threads?: number;
  /**
   * Whether idle threads wait for work in a busy loop. On a machine of our own that is a few per cent faster; beside
   * other work it costs half of the speed, so it is off by default.
   */
  readonly spinning?: boolean;
}

/**
 * ONNX Runtime on the CPU of this machine.
 *
 * Compiling switches the calling thread to flush denormal numbers to zero, which the engine needs for its speed: from
 * then on results of JavaScript arithmetic below 2.2e-308 are 0 in that thread.
 *
 * @throws UsageError when `threads` is not a positive integer
 */
export function nodeRuntime({ threads = availableParallelism(), spinning = false }: NodeRuntimeOptions = {}): Runtime {
  if (!Number.isInteger(threads) || threads < 1)
    throw new UsageError(`--threads must be an integer of at least 1, got ${threads}.`);
  return {
    engine: `onnxruntime-node ${ort.env.versions.node ?? 'of unknown version'}`,
    device: 'cpu',
    threads,
    compile: (spec) => compile(spec, threads, spinning),
    createState: (entries) => new NodeState(entries),
  };
}

async function compile(spec: GraphSpec, threads: number, spinning: boolean): Promise<Program> {
  const signature = describeGraph(spec);
  const model = toOnnx(signature.outputs, { name: spec.name });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    // Planning one block for all temporaries of a step keeps them alive together: a training step of 64 channels takes
    // 3350 MB with it and 1990 without, in the same time.
    enableMemPattern: false,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Denormal numbers (second moments of dead weights, far tails of a soft-max) cost a hundred times a normal one.
    extra: { session: { set_denormal_as_zero: '1', intra_op: { allow_spinning: spinning ? '1' : '0' } } },
    logSeverityLevel: 3,
  }).catch((error: unknown) => {
    throw new StfError(
      `ONNX Runtime refused the graph "${spec.name}": ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  return new NodeProgram(spec.name, signature, session);
}

class NodeProgram implements Program {
  constructor(
    readonly name: string,
    private readonly signature: Signature,
    private readonly session: ort.InferenceSession,
  ) {}

  async run(
    inputs: Readonly<Record<string, TensorData>>,
    state?: State,
    accept: (outputs: Readonly<Record<string, TensorData>>) => boolean = () => true,
  ): Promise<Record<string, TensorData>> {
    const { inputs: needed, reads, writes, results } = this.signature;
    checkInputs(this.name, needed, inputs);
    const feeds: Record<string, ort.Tensor> = {};
    for (const [key, type] of needed) feeds[key] = ortTensor(type.dtype, inputs[key], type.shape);
    const held = this.stateOf(state, reads.size + writes.size > 0);
    for (const [entry, { input, type }] of reads) feeds[input] = held!.front(entry, type);
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const result of results) fetches[result] = null;
    for (const [entry, output] of writes) fetches[output] = held!.back(entry);
    const fetched = await this.session.run(feeds, fetches);
    const outputs = Object.fromEntries(results.map((result) => [result, fetched[result].data as TensorData]));
    if (accept(outputs)) for (const entry of writes.keys()) held!.swap(entry);
    return outputs;
  }

  private stateOf(state: State | undefined, isNeeded: boolean): NodeState | undefined {
    if (!isNeeded) return undefined;
    if (!(state instanceof NodeState)) throw new UsageError(`${this.name}: needs state made by the same runtime.`);
    return state;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** Two buffers an entry: a run reads the front one and writes the back one, then they change places. Nothing is copied. */
class NodeState implements State {
  readonly entries = new Map<string, TensorType>();
  private readonly fronts = new Map<string, ort.Tensor>();
  private readonly backs = new Map<string, ort.Tensor>();

  constructor(entries: Readonly<Record<string, { shape: Shape; dtype: DType; data: TensorData }>>) {
    for (const [name, { shape, dtype, data }] of Object.entries(entries)) {
      this.entries.set(name, { shape, dtype });
      this.fronts.set(name, ortTensor(dtype, allocate(dtype, sizeOf(shape)), shape));
      this.write(name, data);
    }
  }

  front(name: string, type: TensorType): ort.Tensor {
    const tensor = this.known(this.fronts, name);
    const own = this.entries.get(name)!;
    if (own.dtype !== type.dtype || formatShape(own.shape) !== formatShape(type.shape)) {
      throw new UsageError(
        `state "${name}" is ${own.dtype} ${formatShape(own.shape)}, the program reads ${type.dtype} ${formatShape(type.shape)}.`,
      );
    }
    return tensor;
  }

  back(name: string): ort.Tensor {
    const made = this.backs.get(name);
    if (made) return made;
    const { shape, dtype } = this.known(this.entries, name);
    const tensor = ortTensor(dtype, allocate(dtype, sizeOf(shape)), shape);
    this.backs.set(name, tensor);
    return tensor;
  }

  swap(name: string): void {
    const front = this.fronts.get(name)!;
    this.fronts.set(name, this.backs.get(name)!);
    this.backs.set(name, front);
  }

  read(name: string): Promise<TensorData> {
    return Promise.resolve((this.known(this.fronts, name).data as TensorData).slice() as TensorData);
  }

  write(name: string, data: TensorData): void {
    const target = this.known(this.fronts, name).data as TensorData;
    if (target.constructor !== data.constructor || target.length !== data.length) {
      throw new UsageError(
        `state "${name}" holds ${target.constructor.name} of ${target.length} values, got ${data.constructor.name} of ${data.length}.`,
      );
    }
    (target as Float32Array).set(data as Float32Array);
  }

  private known<T>(map: ReadonlyMap<string, T>, name: string): T {
    const found = map.get(name);
    if (!found)
      throw new UsageError(`there is no state "${name}". Entries are: ${[...this.entries.keys()].join(', ')}.`);
    return found;
  }
}

function ortTensor(dtype: DType, data: TensorData, shape: Shape): ort.Tensor {
  return new ort.Tensor(dtype, data as Uint8Array, shape);
}

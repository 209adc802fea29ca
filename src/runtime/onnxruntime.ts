import { StfError, UsageError } from '../errors.ts';
import { toOnnx } from '../graph/index.ts';
import type { Dialect, Optimization, TensorData } from '../graph/index.ts';
import { findChannelBlock } from './channel-block.ts';
import { DeviceState, Transfers } from './device-state.ts';
import type { DeviceMemory } from './device-state.ts';
import { checkEntry, HostState } from './engine-state.ts';
import type { EngineState } from './engine-state.ts';
import { fromOrt, toOrt } from './ort.ts';
import type { InferenceSession, OrtApi, OrtTensor, Widths } from './ort.ts';
import type { GraphSpec, Program, Runtime, State } from './runtime.ts';
import { serial } from './serial.ts';
import type { Serial } from './serial.ts';
import { checkInputs, describeGraph } from './signature.ts';
import type { Signature } from './signature.ts';

/** How ONNX Runtime is to be used on one device. */
export interface OnnxRuntimeOptions {
  /** The engine and its version, for reports. */
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
  /** Options of every session: where it runs, threads, messages. */
  readonly sessionOptions: InferenceSession.SessionOptions;
  /** Element types the device computes with. */
  readonly widths: Widths;
  /**
   * Where state is between runs: in buffers of ours that the engine writes into, wherever the engine puts its results,
   * or in the device's memory.
   */
  readonly stateIn: 'own-buffers' | 'results' | 'device';
  /** Whether the engine may have convolutions in a layout of its own here, which is then tried. */
  readonly hasBlockedConvolutions?: boolean;
  /** Optimisations that are switched off. */
  readonly without?: ReadonlySet<Optimization>;
}

/**
 * Calls that must not overlap wait here: two sessions on a graphics card must not run at once in one process, and the
 * engine in a browser takes one call at a time. On the processor it is the calls of one runtime that wait, since they may
 * share state.
 */
const oneAtATime = serial();

/**
 * ONNX Runtime on one device. The same in Node and in browsers: what differs is the package that is handed in.
 *
 * @param api  onnxruntime-node or onnxruntime-web
 */
export function onnxRuntime(api: OrtApi, options: OnnxRuntimeOptions): Runtime {
  const { engine, device, threads, stateIn, sessionOptions, widths } = options;
  const queue = stateIn === 'own-buffers' ? serial() : oneAtATime;
  const context: Context = { ...options, api, queue };
  const memory: DeviceMemory = {
    api,
    queue,
    location: stateIn === 'device' ? 'gpu-buffer' : 'cpu',
    widths,
    transfers: new Transfers(api, sessionOptions),
  };
  return {
    engine,
    device,
    threads,
    compile: (spec) => queue(() => compile(spec, context)),
    createState: (entries) =>
      stateIn === 'own-buffers' ? new HostState(api, entries) : new DeviceState(memory, entries),
  };
}

interface Context extends OnnxRuntimeOptions {
  readonly api: OrtApi;
  readonly queue: Serial;
}

/** The model of a graph as an engine without a layout of its own gets it. */
export const writeModel = (spec: GraphSpec, widths: Widths): Uint8Array =>
  toOnnx(describeGraph(spec).outputs, { name: spec.name, dialect: dialectOf(widths) });

const dialectOf = (widths: Widths): Dialect => (widths === 'all' ? 'onnxruntime' : 'onnxruntime-32-bit');

async function compile(spec: GraphSpec, context: Context): Promise<Program> {
  const { api, widths, sessionOptions, stateIn, hasBlockedConvolutions, without } = context;
  const signature = describeGraph(spec, without);
  const channelBlock = hasBlockedConvolutions ? await findChannelBlock(api, sessionOptions) : undefined;
  const model = toOnnx(signature.outputs, { name: spec.name, dialect: dialectOf(widths), channelBlock, without });
  const written = new Set(signature.writes.values());
  const location = Object.fromEntries(
    Object.keys(signature.outputs).map((name) => [
      name,
      written.has(name) ? ('gpu-buffer' as const) : ('cpu' as const),
    ]),
  );
  const session = await api.InferenceSession.create(model, {
    ...sessionOptions,
    ...(stateIn === 'device' && { preferredOutputLocation: location }),
  }).catch((error: unknown) => {
    throw new StfError(
      `ONNX Runtime refused the graph "${spec.name}" on ${context.device}: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
  return new OrtProgram(spec.name, signature, session, context);
}

class OrtProgram implements Program {
  constructor(
    readonly name: string,
    private readonly signature: Signature,
    private readonly session: InferenceSession,
    private readonly context: Context,
  ) {}

  async run(
    inputs: Readonly<Record<string, TensorData>>,
    state?: State,
    accept: (outputs: Readonly<Record<string, TensorData>>) => boolean = () => true,
  ): Promise<Record<string, TensorData>> {
    const { inputs: needed, reads, writes, results } = this.signature;
    const { api, widths, queue } = this.context;
    checkInputs(this.name, needed, inputs);
    const held = this.stateOf(state, reads.size + writes.size > 0);
    for (const [entry, { type }] of reads) checkEntry(held!.entries, entry, type);
    const feeds: Record<string, OrtTensor> = {};
    for (const [key, { dtype, shape }] of needed) feeds[key] = toOrt(api, widths, dtype, inputs[key], shape);
    const fetches: Record<string, OrtTensor | null> = {};
    for (const result of results) fetches[result] = null;
    return queue(async () => {
      for (const [entry, output] of writes) fetches[output] = held!.back(entry);
      for (const [entry, { input }] of reads) feeds[input] = await held!.front(entry);
      const fetched = await this.session.run(feeds, fetches);
      const outputs: Record<string, TensorData> = {};
      for (const result of results) {
        outputs[result] = fromOrt(fetched[result], this.signature.outputs[result].dtype);
      }
      const isAccepted = accept(outputs);
      for (const [entry, output] of writes) held!.settle(entry, fetched[output], isAccepted);
      return outputs;
    });
  }

  private stateOf(state: State | undefined, isNeeded: boolean): EngineState | undefined {
    if (!isNeeded) return undefined;
    const isOurs = this.context.stateIn === 'own-buffers' ? state instanceof HostState : state instanceof DeviceState;
    if (!isOurs) throw new UsageError(`${this.name}: needs state made by the same runtime.`);
    return state as HostState | DeviceState;
  }

  async release(): Promise<void> {
    await this.context.queue(() => this.session.release());
  }
}

import { StfError, UsageError } from '../errors.ts';
import { toOnnx } from '../graph/index.ts';
import type { Dialect, Optimization, TensorData } from '../graph/index.ts';
import { blockSize, lengthOf, resized } from './blocks.ts';
import { findChannelBlock } from './channel-block.ts';
import { DeviceState, Transfers } from './device-state.ts';
import type { DeviceMemory } from './device-state.ts';
import { checkEntry, HostState } from './engine-state.ts';
import type { EngineState } from './engine-state.ts';
import { fromOrt, toOrt } from './ort.ts';
import type { InferenceSession, OrtApi, OrtTensor, Widths } from './ort.ts';
import { requireOverwritable } from './overwriting.ts';
import type { GraphSpec, Program, Runtime, State } from './runtime.ts';
import { serial } from './serial.ts';
import type { Serial } from './serial.ts';
import { checkInputs, describeGraph } from './signature.ts';
import type { Signature, StatePart } from './signature.ts';

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

function compile(spec: GraphSpec, context: Context): Promise<Program> {
  const isHost = context.stateIn === 'own-buffers';
  return spec.elementwise && isHost ? compileBlocks(spec, context) : compileWhole(spec, context);
}

async function compileWhole(spec: GraphSpec, context: Context): Promise<OrtProgram> {
  const isHost = context.stateIn === 'own-buffers';
  const signature = describeGraph(spec, { parts: isHost, without: context.without });
  const over = (entry: string): boolean => isHost && (spec.state?.[entry].isScratch ?? false);
  requireOverwritable(spec.name, signature, over);
  return new OrtProgram(spec.name, signature, await sessionOf(spec.name, signature, context), context, {
    over,
    isJudged: !spec.elementwise,
  });
}

/** An elementwise program that goes through vectors in the host's memory block by block, with a rest at the end. */
async function compileBlocks(spec: GraphSpec, context: Context): Promise<Program> {
  const length = lengthOf(spec);
  const ofSize = async (size: number): Promise<{ signature: Signature; session: InferenceSession } | undefined> => {
    if (size === 0) return undefined;
    const signature = describeGraph(resized(spec, size), context);
    requireOverwritable(spec.name, signature, () => true);
    return { signature, session: await sessionOf(spec.name, signature, context) };
  };
  const size = Math.min(blockSize, length);
  const [blocks, rest] = [await ofSize(size), await ofSize(size === 0 ? 0 : length % size)];
  const whole = describeGraph(spec, context);
  const { queue } = context;
  return {
    name: spec.name,
    run: async (inputs, state, accept) => {
      refuseJudging(spec.name, accept);
      checkInputs(spec.name, whole.inputs, inputs);
      const held = stateFor(spec.name, state, context);
      for (const [entry, type] of whole.entries) checkEntry(held.entries, entry, type);
      return queue(async () => {
        for (let offset = 0; offset < length; offset += size) {
          const { signature, session } = offset + size <= length ? blocks! : rest!;
          const at = (part: StatePart): StatePart => ({ ...part, offset });
          const feeds = feedsOf(signature, inputs, context);
          for (const [input, part] of signature.reads) feeds[input] = await held.source(at(part));
          const fetches: Record<string, OrtTensor | null> = {};
          for (const [output, part] of signature.writes) fetches[output] = held.target(at(part), true);
          await session.run(feeds, fetches);
        }
        return {};
      });
    },
    release: async () => {
      for (const each of [blocks, rest]) if (each) await queue(() => each.session.release());
    },
  };
}

async function sessionOf(name: string, signature: Signature, context: Context): Promise<InferenceSession> {
  const { api, widths, sessionOptions, stateIn, hasBlockedConvolutions, without } = context;
  const channelBlock = hasBlockedConvolutions ? await findChannelBlock(api, sessionOptions) : undefined;
  const model = toOnnx(signature.outputs, { name, dialect: dialectOf(widths), channelBlock, without });
  const location = Object.fromEntries(
    Object.keys(signature.outputs).map((output) => [
      output,
      signature.writes.has(output) ? ('gpu-buffer' as const) : ('cpu' as const),
    ]),
  );
  return api.InferenceSession.create(model, {
    ...sessionOptions,
    ...(stateIn === 'device' && { preferredOutputLocation: location }),
  }).catch((error: unknown) => {
    throw new StfError(
      `ONNX Runtime refused the graph "${name}" on ${context.device}: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
}

/** The inputs that the caller gives, as the engine takes them. */
function feedsOf(
  { inputs }: Signature,
  given: Readonly<Record<string, TensorData>>,
  { api, widths }: Context,
): Record<string, OrtTensor> {
  const feeds: Record<string, OrtTensor> = {};
  for (const [key, { dtype, shape }] of inputs) feeds[key] = toOrt(api, widths, dtype, given[key], shape);
  return feeds;
}

/** @throws UsageError when the state was made by another runtime */
function stateFor(name: string, state: State | undefined, { stateIn }: Context): EngineState {
  const isOurs = stateIn === 'own-buffers' ? state instanceof HostState : state instanceof DeviceState;
  if (!isOurs) throw new UsageError(`${name}: needs state made by the same runtime.`);
  return state as HostState | DeviceState;
}

function refuseJudging(name: string, accept: unknown): void {
  if (accept) throw new UsageError(`${name}: runs of an elementwise program can't be judged by "accept".`);
}

class OrtProgram implements Program {
  constructor(
    readonly name: string,
    private readonly signature: Signature,
    private readonly session: InferenceSession,
    private readonly context: Context,
    /** Which entries are written over, and whether `accept` has a say. */
    private readonly mode: { readonly over: (entry: string) => boolean; readonly isJudged: boolean },
  ) {}

  async run(
    inputs: Readonly<Record<string, TensorData>>,
    state?: State,
    accept?: (outputs: Readonly<Record<string, TensorData>>) => boolean,
  ): Promise<Record<string, TensorData>> {
    const { inputs: needed, entries, reads, writes, results } = this.signature;
    const { over, isJudged } = this.mode;
    if (!isJudged) refuseJudging(this.name, accept);
    checkInputs(this.name, needed, inputs);
    const held = entries.size > 0 ? stateFor(this.name, state, this.context) : undefined;
    for (const [entry, type] of entries) checkEntry(held!.entries, entry, type);
    const feeds = feedsOf(this.signature, inputs, this.context);
    const fetches: Record<string, OrtTensor | null> = {};
    for (const result of results) fetches[result] = null;
    return this.context.queue(async () => {
      for (const [output, part] of writes) fetches[output] = held!.target(part, over(part.entry));
      for (const [input, part] of reads) feeds[input] = await held!.source(part);
      const fetched = await this.session.run(feeds, fetches);
      const outputs: Record<string, TensorData> = {};
      for (const result of results) {
        outputs[result] = fromOrt(fetched[result], this.signature.outputs[result].dtype);
      }
      const isAccepted = accept?.(outputs) ?? true;
      const settled = new Map([...writes].map(([output, { entry }]) => [entry, output]));
      for (const [entry, output] of settled) held!.settle(entry, fetched[output], isAccepted, over(entry));
      return outputs;
    });
  }

  async release(): Promise<void> {
    await this.context.queue(() => this.session.release());
  }
}

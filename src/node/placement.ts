import { spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StfError } from '../errors.ts';
import { allocate, sizeOf } from '../graph/index.ts';
import { writeModel } from '../runtime/index.ts';
import type { GraphSpec, Runtime } from '../runtime/index.ts';
import { optionsFor } from './onnxruntime.ts';
import type { Device } from './onnxruntime.ts';

/** Where the engine runs the operators of a graph. */
export interface Placement {
  readonly graph: string;
  /** Operators on the device. */
  readonly onDevice: number;
  /** Operators that fell back to the processor, by kind. */
  readonly onCpu: Readonly<Record<string, number>>;
  /** Copies between the two that this needs. */
  readonly copies: number;
}

/**
 * Opens a model in a process of its own: what breaks there breaks nothing here. The engine tells where it puts operators
 * in its log alone, and its log goes to the error stream alone. With a shape, the model's input `x`, it is run three times
 * and the fastest run is told in milliseconds.
 */
const opener = `
const [engine, model, options, shape] = process.argv.slice(1);
const { InferenceSession, Tensor } = require(engine);
(async () => {
  const session = await InferenceSession.create(model, JSON.parse(options));
  if (shape) {
    const dims = JSON.parse(shape);
    const x = new Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b)), dims);
    let best = Infinity;
    for (let run = 0; run < 3; run++) {
      const start = performance.now();
      await session.run({ x });
      best = Math.min(best, performance.now() - start);
    }
    console.log('fastest run: ' + best);
  }
  await session.release();
})().catch((error) => { console.error(error.message); process.exitCode = 1; });
`;

/** A driver that takes longer in milliseconds is stuck. */
const longestTrial = 60_000;

/** What opening a model led to. */
export interface Opened {
  readonly isOpen: boolean;
  /** Everything the engine said. */
  readonly log: string;
  /** Milliseconds of the fastest of three runs, when it was run. */
  readonly ms: number;
}

/**
 * Opens a model on a device, in a process of its own.
 *
 * @param options.isVerbose  asks the engine for its log
 * @param options.shape      runs the model, too, on an input `x` of this shape
 */
export async function openElsewhere(
  model: Uint8Array,
  device: Device,
  { isVerbose = false, shape }: { isVerbose?: boolean; shape?: readonly number[] } = {},
): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'stf-device-'));
  try {
    const modelFile = join(folder, 'model.onnx');
    await writeFile(modelFile, model);
    const { sessionOptions } = optionsFor({ device, threads: 1 });
    const options = { ...sessionOptions, ...(isVerbose && { logSeverityLevel: 0, logVerbosityLevel: 1 }) };
    const engine = createRequire(import.meta.url).resolve('onnxruntime-node');
    const args = [engine, modelFile, JSON.stringify(options), ...(shape ? [JSON.stringify(shape)] : [])];
    // A file, not a pipe: the engine drops what a pipe does not take at once.
    const logFile = join(folder, 'log.txt');
    const logHandle = await open(logFile, 'w');
    const code = await new Promise<number | null>((resolve, reject) => {
      const child = spawn(process.execPath, ['-e', opener, ...args], {
        stdio: ['ignore', logHandle.fd, logHandle.fd],
        ...(shape && { timeout: longestTrial }),
      });
      child.on('error', reject);
      child.on('exit', resolve);
    }).finally(() => logHandle.close());
    const log = await readFile(logFile, 'utf8');
    return { isOpen: code === 0, log, ms: Number(/fastest run: ([\d.]+)/.exec(log)?.[1] ?? NaN) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Asks the engine where it would run the operators of a graph.
 *
 * @throws StfError when the device is not there or the engine refuses the graph
 */
export async function placementOf(spec: GraphSpec, device: Device): Promise<Placement> {
  const { widths } = optionsFor({ device, threads: 1 });
  const { isOpen, log } = await openElsewhere(writeModel(spec, widths), device, { isVerbose: true });
  if (!isOpen) throw new StfError(`${spec.name} can't be compiled for ${device}: ${lastLine(log)}`);
  return { graph: spec.name, ...readPlacements(log, device) };
}

/** The last line of a log that says something. */
export const lastLine = (log: string): string => log.trim().split('\n').at(-1) ?? '';

/**
 * Reads "All nodes placed on [X]. Number of nodes: n", or "Node(s) placed on [X]. Number of nodes: n" followed by a line
 * for each node, from a log of the engine.
 */
export function readPlacements(log: string, device: Device): Omit<Placement, 'graph'> {
  const onCpu: Record<string, number> = {};
  let onDevice = 0;
  let copies = 0;
  let isCpu = false;
  for (const line of log.split('\n')) {
    const group = / placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(line);
    if (group) {
      isCpu = group[1] === 'CPUExecutionProvider' && device !== 'cpu';
      if (!isCpu) onDevice += Number(group[2]);
      else if (line.includes('All nodes')) onCpu['all operators'] = Number(group[2]);
    }
    const node = /VerifyEachNodeIsAssignedToAnEp\] {3}(\w+) \(/.exec(line);
    if (!node) continue;
    const [, kind] = node;
    if (kind.startsWith('Memcpy')) {
      copies++;
      if (!isCpu) onDevice--;
    } else if (isCpu) onCpu[kind] = (onCpu[kind] ?? 0) + 1;
  }
  return { onDevice, onCpu, copies };
}

/** A runtime that compiles nothing and remembers the graphs that it was to compile. */
export function recordingRuntime(): { runtime: Runtime; specs: GraphSpec[] } {
  const specs: GraphSpec[] = [];
  const unable = (name: string): never => {
    throw new StfError(`${name} was recorded, not compiled.`);
  };
  const runtime: Runtime = {
    engine: 'none',
    device: 'none',
    threads: 1,
    compile: (spec) => {
      specs.push(spec);
      return Promise.resolve({ name: spec.name, run: () => unable(spec.name), release: () => Promise.resolve() });
    },
    createState: (entries) => ({
      entries: new Map(Object.entries(entries).map(([name, { shape, dtype }]) => [name, { shape, dtype }])),
      read: (name) => {
        const { data, dtype, shape } = entries[name];
        return Promise.resolve(data ?? allocate(dtype, sizeOf(shape)));
      },
      look: unable,
      write: () => {},
      update: unable,
    }),
  };
  return { runtime, specs };
}

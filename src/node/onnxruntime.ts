import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { UsageError } from '../errors.ts';
import type { Optimization } from '../graph/index.ts';
import { onnxRuntime, openModel } from '../runtime/index.ts';
import type { ModelFile, OnnxRuntimeOptions, Runtime } from '../runtime/index.ts';

/** So many threads can be asked for on any machine; thousands on a small one would stop it for minutes. */
const leastMostThreads = 64;

/** Devices that a runtime in Node can be asked for. */
export const devices = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type Device = (typeof devices)[number];

export interface NodeRuntimeOptions {
  /** Where graphs run; the processor by default. Whether the device is there shows when a graph is compiled. */
  readonly device?: Device;
  /** Threads one operator may use; all cores by default. ONNX Runtime's own default sets affinities and fails in containers. */
  readonly threads?: number;
  /**
   * Whether idle threads wait for work in a busy loop. On a machine of our own that is a few per cent faster; beside
   * other work it costs half of the speed, so it is off by default.
   */
  readonly spinning?: boolean;
  /** Optimisations to leave out, to see what they are worth; all are on by default. */
  readonly without?: readonly Optimization[];
}

/**
 * ONNX Runtime on a device of this machine.
 *
 * On a graphics card (`webgpu`) parameters and other state stay in its memory between runs. CUDA, CoreML and DirectML
 * compute on their device and keep state in the host's memory.
 *
 * Compiling switches the calling thread to flush denormal numbers to zero, which the engine needs for its speed: from
 * then on results of JavaScript arithmetic below 2.2e-308 are 0 in that thread.
 *
 * @throws UsageError when `threads` is no positive integer or far above the machine's processors, or the engine was not built for the device
 */
export const nodeRuntime = (options: NodeRuntimeOptions = {}): Runtime => onnxRuntime(ort, optionsFor(options));

/**
 * Opens an ONNX file on a device of this machine.
 *
 * @throws UsageError as `nodeRuntime`; FormatError when the engine can't read the file
 */
export const openOnnxFile = (path: string, options: NodeRuntimeOptions = {}): Promise<ModelFile> =>
  openModel(ort, path, optionsFor(options).sessionOptions);

/** How the engine is used on a device. @throws UsageError as `nodeRuntime` */
export function optionsFor({
  device = 'cpu',
  threads = availableParallelism(),
  spinning = false,
  without = [],
}: NodeRuntimeOptions): OnnxRuntimeOptions {
  if (!Number.isInteger(threads) || threads < 1)
    throw new UsageError(`--threads must be an integer of at least 1, got ${threads}.`);
  const most = Math.max(leastMostThreads, 4 * availableParallelism());
  if (threads > most)
    throw new UsageError(
      `--threads must be at most ${most} on this machine, got ${threads}: it has ${availableParallelism()} processors.`,
    );
  requireBuiltFor(device);
  return {
    engine: `onnxruntime-node ${ort.env.versions.node ?? 'of unknown version'}`,
    device,
    threads,
    widths: device === 'webgpu' ? '32-bit' : 'all',
    stateIn: device === 'webgpu' ? 'device' : 'own-buffers',
    on: device === 'cpu' ? 'processor' : 'graphics',
    hasBlockedConvolutions: device === 'cpu',
    without: new Set(without),
    sessionOptions: {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
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
    },
  };
}

/** Devices that the installed engine was built for, with CUDA only where its libraries were added. */
export const builtFor = (): Device[] => devices.filter((device) => engineHas(device));

const engineHas = (device: Device): boolean =>
  ort.listSupportedBackends().some(({ name, bundled }) => name === device && (bundled || device !== 'cpu'));

function requireBuiltFor(device: Device): void {
  if (!devices.includes(device))
    throw new UsageError(`--device must be one of ${devices.join(', ')}, got ${JSON.stringify(device)}.`);
  if (!engineHas(device))
    throw new UsageError(
      `--device ${device}: the engine has no ${device} on ${process.platform} ${process.arch}. It has: ${builtFor().join(', ')}.`,
    );
}

import * as ort from 'onnxruntime-web/webgpu';
import { UsageError } from '../errors.ts';
import { onnxRuntime } from '../runtime/index.ts';
import type { OnnxRuntimeOptions, Runtime } from '../runtime/index.ts';

/** Where a browser can compute. `auto` is WebGPU on a real graphics card where there is one, and else Wasm. */
export const webDevices = ['webgpu', 'wasm', 'auto'] as const;
export type WebDevice = (typeof webDevices)[number];

export interface WebRuntimeOptions {
  /** Where graphs run; `auto` when left out. */
  readonly device?: WebDevice;
  /**
   * Threads that Wasm may use; up to four when left out. More than one needs a page that is isolated from other origins
   * (headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp).
   */
  readonly threads?: number;
  /** Address of the folder that the engine's own files (.wasm and .mjs) are served from; left to the bundler otherwise. */
  readonly engineFiles?: string;
}

/** Whether there is WebGPU, on a graphics card or only imitated by the processor. */
async function findGpu(): Promise<'hardware' | 'software' | 'none'> {
  // Browsers without WebGPU, and pages that did not come over a secure connection, have no `gpu`.
  const { gpu } = navigator as Partial<Pick<Navigator, 'gpu'>>;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return 'none';
  const { isFallbackAdapter, architecture } = adapter.info;
  return isFallbackAdapter || architecture === 'swiftshader' ? 'software' : 'hardware';
}

/** Threads that Wasm can have on this page. */
const threadsHere = (): number => (crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1);

/**
 * ONNX Runtime in a browser. Everything that takes a `Runtime` runs on it: sampling, training, metrics.
 *
 * A run on Wasm blocks the thread that calls it: in a page that stays alive meanwhile, make the runtime in a worker.
 *
 * @throws UsageError when WebGPU is asked for and not there, or `threads` is not a positive integer
 */
export async function webRuntime({
  device = 'auto',
  threads = threadsHere(),
  engineFiles,
}: WebRuntimeOptions = {}): Promise<Runtime> {
  if (!webDevices.includes(device))
    throw new UsageError(`device must be one of ${webDevices.join(', ')}, got ${JSON.stringify(device)}.`);
  if (!Number.isInteger(threads) || threads < 1)
    throw new UsageError(`threads must be an integer of at least 1, got ${threads}.`);
  const gpu = device === 'wasm' ? 'none' : await findGpu();
  if (device === 'webgpu' && gpu === 'none')
    throw new UsageError('device webgpu: this browser gives no WebGPU adapter. These work: wasm, auto.');
  if (engineFiles !== undefined) ort.env.wasm.wasmPaths = engineFiles;
  ort.env.wasm.numThreads = threads;
  const isOnGpu = device === 'webgpu' || (device === 'auto' && gpu === 'hardware');
  const options: OnnxRuntimeOptions = {
    engine: `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}`,
    device: isOnGpu ? 'webgpu' : 'wasm',
    threads,
    widths: isOnGpu ? '32-bit' : 'all',
    on: isOnGpu ? 'graphics' : 'processor',
    stateIn: isOnGpu ? 'device' : 'results',
    sessionOptions: {
      executionProviders: [isOnGpu ? 'webgpu' : 'wasm'],
      graphOptimizationLevel: 'all',
      enableMemPattern: false,
      logSeverityLevel: 3,
    },
  };
  return onnxRuntime(ort, options);
}

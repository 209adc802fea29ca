import { createRequire } from 'node:module';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import * as ort from 'onnxruntime-node';
import { FormatError, UsageError } from '../errors.ts';
import { countFlops, input, matmul } from '../graph/index.ts';
import { median } from '../numerics/statistics.ts';
import { findChannelBlock } from '../runtime/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { cacheFolder } from './cache.ts';
import { loadCifar10 } from './cifar10.ts';
import { examineDevices } from './devices.ts';
import type { DeviceFinding } from './devices.ts';
import { nodeRuntime, optionsFor } from './onnxruntime.ts';

const require = createRequire(import.meta.url);

/** Version of this package. */
export const packageVersion = (require('stable-target-field/package.json') as { version: string }).version;

/** What `stf doctor` finds out about a machine. */
export interface DoctorReport {
  readonly package: string;
  readonly node: string;
  readonly platform: string;
  readonly engine: string;
  /** Devices that the engine was built for, and whether they are there. */
  readonly devices: readonly DeviceFinding[];
  readonly processor: string;
  readonly cores: number;
  readonly threads: number;
  /** GiB. */
  readonly memory: { readonly total: number; readonly free: number };
  /** Rate of a 1024 x 1024 x 1024 product of float32 matrices, in 10^9 operations a second. */
  readonly matrixProduct: { readonly median: number; readonly best: number };
  /** Channels that lie side by side in the engine's own layout of convolutions; undefined where it has none. */
  readonly channelBlock: number | undefined;
  readonly cache: { readonly folder: string; readonly cifar10: string };
}

/**
 * Looks at the machine and measures what training is made of. Takes a few seconds.
 *
 * @param runtime  what to measure; the processor with all cores when left out
 */
export async function examine(runtime: Runtime = nodeRuntime()): Promise<DoctorReport> {
  const processors = cpus();
  return {
    package: packageVersion,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    engine: runtime.engine,
    devices: await examineDevices(),
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    threads: runtime.threads,
    memory: { total: totalmem() / 2 ** 30, free: freemem() / 2 ** 30 },
    matrixProduct: await matrixProductRate(runtime),
    channelBlock: await findChannelBlock(ort, optionsFor({ threads: runtime.threads }).sessionOptions),
    cache: { folder: cacheFolder(), cifar10: await cifar10State() },
  };
}

/**
 * Rate of a `size` x `size` x `size` product of float32 matrices on this runtime, in 10^9 operations a second, 2
 * operations a multiply-add: what the machine can do at most in one operator. Median and best of 20 runs, or of those that
 * five seconds hold.
 */
export async function matrixProductRate(runtime: Runtime, size = 1024): Promise<{ median: number; best: number }> {
  const product = matmul(input('a', [size, size]), input('b', [size, size]));
  const program = await runtime.compile({ name: 'matrix product', outputs: { product } });
  try {
    const matrix = Float32Array.from({ length: size * size }, (_, i) => (i % 17) / 17 - 0.5);
    const rates: number[] = [];
    const begin = performance.now();
    for (let run = -warmUpRuns; run < countedRuns; run++) {
      if (performance.now() - begin > mostMilliseconds) {
        if (rates.length > 0) break;
        run = 0;
      }
      const start = performance.now();
      await program.run({ a: matrix, b: matrix });
      if (run >= 0) rates.push(countFlops([product]) / (performance.now() - start) / 1e6);
    }
    return { median: median(rates), best: Math.max(...rates) };
  } finally {
    await program.release();
  }
}

const warmUpRuns = 5;
const countedRuns = 20;
/** Slow devices are measured with fewer runs. */
const mostMilliseconds = 5000;

/** Whether CIFAR-10 is in the cache, every file verified, in words. */
async function cifar10State(): Promise<string> {
  try {
    await loadCifar10({ split: 'train' });
    await loadCifar10({ split: 'test' });
    return 'CIFAR-10 is there and verified';
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    if (error instanceof UsageError) return 'CIFAR-10 is not there; `stf dataset fetch cifar10` fetches it';
    throw error;
  }
}

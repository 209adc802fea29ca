import { cpus, totalmem } from 'node:os';
import { input, matmul } from '../src/graph/index.ts';
import { median, quantile } from '../src/numerics/statistics.ts';
import type { Runtime } from '../src/runtime/index.ts';

export interface Timing {
  /** Milliseconds of each counted run. */
  readonly runs: readonly number[];
  readonly median: number;
  /** First and third quartile. */
  readonly quartiles: readonly [number, number];
}

/** Times `run` after a warm-up: first runs compile kernels, touch memory for the first time and plan it. */
export async function time(
  run: () => Promise<unknown>,
  { warmUp = 3, count = 10 }: { warmUp?: number; count?: number } = {},
): Promise<Timing> {
  for (let i = 0; i < warmUp; i++) await run();
  const runs: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await run();
    runs.push(performance.now() - start);
  }
  return { runs, median: median(runs), quartiles: [quantile(runs, 0.25), quantile(runs, 0.75)] };
}

/** GFLOP/s of a 1024 × 1024 × 1024 float32 product on this runtime: what the machine can do at most. */
export async function productRate(runtime: Runtime, size = 1024): Promise<number> {
  const [a, b] = ['a', 'b'].map((name) => input(name, [size, size]));
  const program = await runtime.compile({ name: 'matrix product', outputs: { c: matmul(a, b) } });
  const values = new Float32Array(size * size).fill(0.5);
  const { runs } = await time(() => program.run({ a: values, b: values }), { warmUp: 5, count: 20 });
  await program.release();
  return (2 * size ** 3) / median(runs) / 1e6;
}

/** Largest resident memory of this process so far, in MiB. */
export const peakMemoryMb = (): number => process.resourceUsage().maxRSS / 1024;

/** What was measured on, for every report. */
export const machine = (runtime: Runtime) => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  threads: runtime.threads,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  engine: runtime.engine,
});

export const rounded = (value: number, digits = 3): number => Number(value.toPrecision(digits));

import { cpus, totalmem } from 'node:os';
import { median, quantile } from '../src/numerics/statistics.ts';
import type { Runtime } from '../src/runtime/index.ts';

export { median };

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

import { matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import { readArguments } from './arguments.ts';
import { machine, rounded } from './measure.ts';

/** The machine's float32 matrix-product rate: the limit that the other benchmarks are held against. */
export async function matmulBench(argv: readonly string[]) {
  const { size, threads } = readArguments(argv, { size: 1024, threads: 0 });
  const runtime = nodeRuntime(threads > 0 ? { threads } : {});
  const { median } = await matrixProductRate(runtime, size);
  return { bench: 'matmul', size, gflops: rounded(median, 4), machine: machine(runtime) };
}

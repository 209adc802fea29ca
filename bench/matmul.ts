import { nodeRuntime } from '../src/node/onnxruntime.ts';
import { readArguments } from './arguments.ts';
import { machine, productRate, rounded } from './measure.ts';

/** The machine's float32 matrix-product rate: the limit that the other benchmarks are held against. */
export async function matmulBench(argv: readonly string[]) {
  const { size, threads } = readArguments(argv, { size: 1024, threads: 0 });
  const runtime = nodeRuntime(threads > 0 ? { threads } : {});
  return { bench: 'matmul', size, gflops: rounded(await productRate(runtime, size), 4), machine: machine(runtime) };
}

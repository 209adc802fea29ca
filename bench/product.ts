import { input, matmul } from '../src/graph/index.ts';
import type { Runtime } from '../src/runtime/index.ts';

/** How long one run takes. */
export async function milliseconds(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** The product of 1024 × 1024 matrices that the machine's rate is measured with, warmed up. */
export async function matrixProduct(runtime: Runtime, size = 1024) {
  const product = matmul(input('a', [size, size]), input('b', [size, size]));
  const program = await runtime.compile({ name: 'matrix product', outputs: { product } });
  const matrix = Float32Array.from({ length: size * size }, (_, i) => (i % 17) / 17 - 0.5);
  const run = () => program.run({ a: matrix, b: matrix });
  for (let i = 0; i < 5; i++) await run();
  return { run, flops: 2 * size ** 3 };
}

import { countFlops, input } from '../src/graph/index.ts';
import { matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import { fillNormal, fillUniform, streams } from '../src/numerics/random.ts';
import { stableTarget } from '../src/objective/index.ts';
import { readArguments } from './arguments.ts';
import { machine, peakMemoryMb, rounded, time } from './measure.ts';

/** The stable target of a batch: two matrix products with a soft-max between them. */
export async function stableTargetBench(argv: readonly string[]) {
  const options = readArguments(argv, { batch: 64, reference: 1024, dim: 3072, steps: 20, threads: 0 });
  const { batch, reference, dim } = options;
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const { median: rate } = await matrixProductRate(runtime);
  const perturbation = {
    clean: input('clean', [batch, dim]),
    noise: input('noise', [batch, dim]),
    sigma: input('sigma', [batch]),
  };
  const target = stableTarget(perturbation, input('reference', [reference, dim]));
  const program = await runtime.compile({ name: 'stable target', outputs: { target } });
  const values = new Float32Array(reference * dim);
  fillUniform(values, { seed: 0, stream: streams.evaluation, step: 0, sample: 0 });
  for (let i = 0; i < values.length; i++) values[i] = 2 * values[i] - 1;
  const noise = new Float32Array(batch * dim);
  fillNormal(noise, { seed: 0, stream: streams.evaluation, step: 0, sample: 1 });
  const feeds = {
    clean: values.slice(0, batch * dim),
    noise,
    sigma: Float32Array.from({ length: batch }, (_, i) => 0.002 * 1.2 ** i),
    reference: values,
  };
  const timing = await time(() => program.run(feeds), { count: Math.max(10, options.steps) });
  await program.release();
  const flops = countFlops([target]);
  const gflops = flops / timing.median / 1e6;
  return {
    bench: 'stable-target',
    batch,
    reference,
    dim,
    targetsPerSecond: rounded((batch / timing.median) * 1000),
    ms: {
      median: rounded(timing.median, 4),
      quartiles: timing.quartiles.map((ms) => rounded(ms, 4)),
      runs: timing.runs.length,
    },
    peakMemoryMb: Math.round(peakMemoryMb()),
    inputMb: rounded(((reference + 2 * batch) * dim * 4) / 2 ** 20),
    gflop: rounded(flops / 1e9, 4),
    gflops: rounded(gflops, 4),
    matmulGflops: rounded(rate, 4),
    shareOfMatmulRate: rounded(gflops / rate),
    machine: machine(runtime),
  };
}

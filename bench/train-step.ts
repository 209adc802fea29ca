import { matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import { fillNormal, streams } from '../src/numerics/random.ts';
import { compileTrainStep } from '../src/training/index.ts';
import { readArguments } from './arguments.ts';
import { machine, peakMemoryMb, rounded, time } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';

/**
 * One whole training step, noise to moving average, on fixed data. `--reference 0` trains with denoising score
 * matching, any other number with the stable target and a reference batch of that size.
 */
export async function trainStepBench(argv: readonly string[]) {
  const options = readArguments(argv, { ...networkDefaults, batch: 32, reference: 0, steps: 10, threads: 0 });
  const { batch, reference } = options;
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const network = networkFrom(options);
  const { median: rate } = await matrixProductRate(runtime);
  const compileStart = performance.now();
  const step = await compileTrainStep(runtime, {
    denoiser: { network, preconditioning: { kind: 'edm', sigmaData: 0.5 } },
    objective: reference > 0 ? { kind: 'stf', references: { kind: 'fresh', count: reference } } : { kind: 'dsm' },
    batch,
    rounds: 1,
    sampleDtype: 'uint8',
  });
  const compileMs = performance.now() - compileStart;
  const pixels = network.channels * network.resolution ** 2;
  const images = Uint8Array.from({ length: Math.max(batch, reference) * pixels }, (_, i) => (i * 2654435761) >>> 24);
  const noise = new Float32Array(batch * pixels);
  fillNormal(noise, { seed: 0, stream: streams.noise, step: 0, sample: 0 });
  const data = {
    clean: images.subarray(0, batch * pixels),
    noise,
    sigma: Float32Array.from({ length: batch }, (_, i) => 0.05 * 1.2 ** i),
    reference: reference > 0 ? images : undefined,
  };
  let count = 0;
  const timing = await time(() => step.run([data], { learningRate: 1e-4, emaBeta: 0.99, step: ++count }), {
    warmUp: 3,
    count: Math.max(10, options.steps),
  });
  await step.release();
  const gflops = step.flops / timing.median / 1e6;
  return {
    bench: 'train-step',
    network: describeNetwork(options),
    objective: reference > 0 ? `stf ${reference}` : 'dsm',
    batch,
    parameters: step.table.trained,
    imagesPerSecond: rounded((batch / timing.median) * 1000),
    ms: {
      median: rounded(timing.median, 4),
      quartiles: timing.quartiles.map((ms) => rounded(ms, 4)),
      steps: timing.runs.length,
    },
    compileMs: Math.round(compileMs),
    peakMemoryMb: Math.round(peakMemoryMb()),
    gflopPerStep: rounded(step.flops / 1e9, 4),
    gflops: rounded(gflops, 4),
    matmulGflops: rounded(rate, 4),
    shareOfMatmulRate: rounded(gflops / rate),
    machine: machine(runtime),
  };
}

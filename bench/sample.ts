import { makeDenoiser } from '../src/diffusion/index.ts';
import { nodeRuntime } from '../src/node/onnxruntime.ts';
import { initialize, parameterTable } from '../src/nn/index.ts';
import { compileDenoiser, generateWith } from '../src/sampling/index.ts';
import { readArguments } from './arguments.ts';
import { machine, peakMemoryMb, rounded, time } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';

/** Images a second of EDM's deterministic sampler, with weights as constants of the graph. */
export async function sampleBench(argv: readonly string[]) {
  const options = readArguments(argv, { ...networkDefaults, batch: 32, steps: 18, runs: 3, threads: 0 });
  const { batch, steps } = options;
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const network = networkFrom(options);
  const config = { network, preconditioning: { kind: 'edm', sigmaData: 0.5 } } as const;
  const table = parameterTable((source) => makeDenoiser(source, config));
  const denoiser = await compileDenoiser(runtime, config, { batch, weights: initialize(table, 0) });
  const seeds = Array.from({ length: batch }, (_, i) => i);
  const shape = [network.channels, network.resolution, network.resolution];
  const draw = () => generateWith(denoiser, shape, seeds, { steps, sigmaMin: 0.002, sigmaMax: 80, rho: 7 });
  const timing = await time(draw, { warmUp: 1, count: options.runs });
  const nfe = denoiser.evaluations / (options.runs + 1);
  await denoiser.release();
  return {
    bench: 'sample',
    network: describeNetwork(options),
    batch,
    steps,
    nfe,
    parameters: table.trained,
    imagesPerSecond: rounded((batch / timing.median) * 1000),
    ms: {
      median: rounded(timing.median, 4),
      quartiles: timing.quartiles.map((ms) => rounded(ms, 4)),
      runs: timing.runs.length,
    },
    msPerEvaluation: rounded(timing.median / nfe, 4),
    peakMemoryMb: Math.round(peakMemoryMb()),
    machine: machine(runtime),
  };
}

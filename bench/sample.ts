import { makeDenoiser } from '../src/diffusion/index.ts';
import { countFlops, input } from '../src/graph/index.ts';
import { fromFlat } from '../src/nn/index.ts';
import { median } from '../src/numerics/statistics.ts';
import type { Runtime } from '../src/runtime/index.ts';
import { compileDenoiser, drawLatents, generateWith } from '../src/sampling/index.ts';
import type { CompiledDenoiser } from '../src/sampling/index.ts';
import { readArguments } from './arguments.ts';
import { alternate, clocked, comparisonDefaults, fastestTwin, ratioOf, requireAgreement } from './compare.ts';
import { machine, rounded } from './measure.ts';
import { describeNetwork, networkDefaults } from './networks.ts';
import type { Twin } from './peers/twin.ts';
import { ourSide, peerSide, setUp } from './setup.ts';
import { named } from './subject.ts';
import type { Subject } from './subject.ts';

/** EDM's noise levels for CIFAR-10. */
const levels = { sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
/** Steps of the comparison of samples and of the choice of the twin's layout. */
const shortSteps = 3;
/** Largest relative difference of the samples. Rounding in float32 comes to 2e-5 at the most, a wrong layer to per cents. */
const sampleTolerance = 1e-4;

/** Images a second of EDM's deterministic sampler, with weights as constants of the graph, in turn with a PyTorch twin. */
export async function sampleBench(argv: readonly string[]) {
  const options = readArguments(argv, {
    ...networkDefaults(argv),
    ...comparisonDefaults,
    steps: 18,
    runs: 3,
    threads: 0,
  });
  const { batch, steps } = options;
  const { waiting, without, runtime, rate, subject, twins, ...why } = await setUp(options);
  const sampling = await prepareSampling(runtime, subject, batch);
  let peer: Awaited<ReturnType<typeof fastestTwin>> | undefined;
  try {
    const expected = await sampling.draw(shortSteps);
    const prepare = async (twin: Twin): Promise<void> => {
      await twin.prepareSampling(sampling.latents, { ...levels, steps: shortSteps });
      await compareSamples(twin, expected);
    };
    peer = twins && (await fastestTwin(twins, prepare, (twin) => twin.sample()));
    await peer?.twin.prepareSampling(sampling.latents, { ...levels, steps });
    const before = sampling.denoiser.evaluations;
    const counts = { warmUp: 1, count: Math.max(1, options.runs) };
    const runs = await alternate(
      () => clocked(() => sampling.draw(steps)),
      peer && (() => peer!.twin.sample()),
      counts,
    );
    const nfe = (sampling.denoiser.evaluations - before) / (counts.warmUp + counts.count);
    const gflops = (sampling.flopsPerEvaluation * nfe) / median(runs.ours) / 1e6;
    const theirs = await peerSide(peer, runs.peer, batch);
    return {
      bench: 'sample',
      network: describeNetwork(options),
      batch,
      steps,
      nfe,
      parameters: subject.table.trained,
      ours: {
        ...ourSide(runs.ours, batch),
        msPerEvaluation: rounded(median(runs.ours) / nfe, 4),
        engine: runtime.engine,
      },
      peer: theirs && runs.peer ? { ...theirs, msPerEvaluation: rounded(median(runs.peer) / nfe, 4) } : null,
      ...why,
      ...ratioOf(runs.ours, runs.peer),
      gflopPerEvaluation: rounded(sampling.flopsPerEvaluation / 1e9, 4),
      gflops: rounded(gflops, 4),
      matmulGflops: rounded(rate, 4),
      shareOfMatmulRate: rounded(gflops / rate),
      waiting,
      without,
      machine: machine(runtime),
    };
  } finally {
    await peer?.twin.close();
    await twins?.close();
    await sampling.denoiser.release();
  }
}

/** Compiles the denoiser of a network and draws the latents of seeds 0, 1, ... */
export async function prepareSampling(runtime: Runtime, { config, table, weights }: Subject, batch: number) {
  const { channels, resolution } = config.network;
  const shape = [channels, resolution, resolution];
  const seeds = Array.from({ length: batch }, (_, i) => i);
  const denoiser: CompiledDenoiser = await compileDenoiser(runtime, config, { batch, weights: weights() });
  const { source } = fromFlat(table, input('weights', [table.size]));
  const denoised = makeDenoiser(source, config)(input('x', [batch, ...shape]), input('sigma', [batch]));
  return {
    denoiser,
    latents: named(Float32Array.from(drawLatents(seeds, shape)), [batch, ...shape]),
    /** Samples of all seeds [batch, C, H, W]; drawing the latents is part of it. */
    draw: (steps: number): Promise<Float32Array> => generateWith(denoiser, shape, seeds, { ...levels, steps }),
    flopsPerEvaluation: countFlops([denoised]),
  };
}

/** Lets the twin draw the samples that ours drew. @throws StfError when they differ */
async function compareSamples(twin: Twin, expected: Float32Array): Promise<void> {
  const found = (await twin.samples()).data as Float32Array;
  requireAgreement(`samples of ${shortSteps} steps`, relativeDifference(found, expected), sampleTolerance);
}

/** Root mean square of the difference over that of what is expected. */
export function relativeDifference(found: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let size = 0;
  expected.forEach((value, i) => {
    difference += (value - found[i]) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

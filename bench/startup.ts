import { StfError } from '../src/errors.ts';
import { fillNormal, streams } from '../src/numerics/random.ts';
import { nodeRuntime } from '../src/node/index.ts';
import { recordingRuntime } from '../src/node/placement.ts';
import { median, quantile } from '../src/numerics/statistics.ts';
import { writeModel } from '../src/runtime/index.ts';
import type { Runtime } from '../src/runtime/index.ts';
import { compileTrainStep } from '../src/training/index.ts';
import type { StepResult, TrainStep } from '../src/training/index.ts';
import { readArguments } from './arguments.ts';
import { machine } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';
import { makeSubject } from './subject.ts';

/** Images of the graphs: shapes are fixed, and their size changes neither the number of operators nor the time. */
const batch = 2;

/**
 * How long it takes until a training step can be taken: from a configuration to a compiled program, and the parts of it.
 * Every start must then compute the same step, bit by bit.
 */
export async function startupBench(argv: readonly string[]) {
  const options = readArguments(argv, { ...networkDefaults(argv), checkpointing: 0, runs: 5, threads: 0 });
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const { config, table } = makeSubject(networkFrom(options));
  const compile = (on: Runtime): Promise<TrainStep> =>
    compileTrainStep(on, {
      denoiser: config,
      objective: { kind: 'dsm' },
      batch,
      rounds: 1,
      sampleDtype: 'uint8',
      checkpointing: options.checkpointing > 0,
    });
  const [graph, model, total]: [number[], number[], number[]] = [[], [], []];
  const results: StepResult[] = [];
  let bytes = 0;
  for (let run = 0; run < options.runs; run++) {
    const { runtime: recording, specs } = recordingRuntime();
    graph.push(await clocked(() => compile(recording)));
    model.push(
      await clocked(() => {
        bytes = specs.reduce((sum, spec) => sum + writeModel(spec, 'all').length, 0);
      }),
    );
    let step: TrainStep | undefined;
    total.push(await clocked(async () => void (step = await compile(runtime))));
    results.push(await oneStep(step!, config.network.resolution));
    await step!.release();
  }
  requireSame(results);
  return {
    bench: 'startup',
    network: describeNetwork(options),
    parameters: table.trained,
    checkpointing: options.checkpointing > 0,
    ms: summary(total),
    // Measured apart from each other; the engine's part is what they leave of the whole.
    parts: {
      graph: summary(graph),
      model: summary(model),
      engine: Math.round(median(total) - median(graph) - median(model)),
    },
    modelKb: Math.round(bytes / 1024),
    compared: `loss and gradient norm of a step after each of ${options.runs} starts: the same bits`,
    machine: machine(runtime),
  };
}

async function clocked(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const summary = (runs: readonly number[]) => ({
  median: Math.round(median(runs)),
  quartiles: [quantile(runs, 0.25), quantile(runs, 0.75)].map(Math.round),
  first: Math.round(runs[0]),
});

/** A step on fixed data. */
function oneStep(step: TrainStep, resolution: number): Promise<StepResult> {
  const size = batch * 3 * resolution ** 2;
  const noise = new Float32Array(size);
  fillNormal(noise, { seed: 0, stream: streams.noise, step: 0, sample: 0 });
  const clean = Uint8Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 24);
  const data = { clean, noise, sigma: Float32Array.of(0.3, 2) };
  return step.run([data], { learningRate: 1e-4, emaBeta: 0.99, step: 1 });
}

/** @throws StfError when starts differ in what they compute */
function requireSame(results: readonly StepResult[]): void {
  const texts = results.map(({ gradientNorm, lossPerSample }) => [gradientNorm, ...lossPerSample].join());
  const other = texts.find((text) => text !== texts[0]);
  if (other !== undefined) throw new StfError(`two starts compute different steps: ${texts[0]} and ${other}.`);
}

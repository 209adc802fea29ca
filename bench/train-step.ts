import { fillNormal, streams } from '../src/numerics/random.ts';
import { median } from '../src/numerics/statistics.ts';
import type { Runtime } from '../src/runtime/index.ts';
import { adamDefaults } from '../src/training/adam.ts';
import { compileTrainStep } from '../src/training/index.ts';
import type { TrainStep } from '../src/training/index.ts';
import { readArguments } from './arguments.ts';
import { alternate, clocked, comparisonDefaults, fastestTwin, ratioOf, requireAgreement } from './compare.ts';
import { machine, rounded } from './measure.ts';
import { describeNetwork, networkDefaults } from './networks.ts';
import type { Twin, TwinTraining } from './peers/twin.ts';
import { ourSide, peerSide, setUp } from './setup.ts';
import { named } from './subject.ts';
import type { Subject } from './subject.ts';

/** Steps that both take before either is timed, and in each of which both must compute the same. */
const checkedSteps = 2;
/**
 * Largest relative differences. Sums in float32 in another order move the loss by 1e-7; a wrong layer may move it by 1e-4
 * only, since the noise level decides most of it, but the gradient by per cents.
 */
const tolerances = { loss: 1e-4, gradientNorm: 1e-4 } as const;

/**
 * One whole training step, noise to moving average, on fixed data, in turn with a PyTorch twin. `--reference 0` trains
 * with denoising score matching, any other number with the stable target and a reference batch of that size.
 */
export async function trainStepBench(argv: readonly string[]) {
  const options = readArguments(argv, {
    ...networkDefaults(argv),
    ...comparisonDefaults,
    reference: 0,
    steps: 10,
    threads: 0,
  });
  const { batch, reference } = options;
  const { waiting, without, runtime, rate, subject, twins, ...why } = await setUp(options);
  const compileStart = performance.now();
  const training = await prepareTraining(runtime, subject, { batch, reference });
  const compileMs = performance.now() - compileStart;
  let peer: Awaited<ReturnType<typeof fastestTwin>> | undefined;
  try {
    const expected: StepCheck[] = [];
    for (let step = 0; step < checkedSteps; step++) expected.push(await training.checkedStep());
    peer = twins && (await fastestTwin(twins, (twin) => prepareTwin(twin, training, expected), trialStep));
    const runs = await alternate(() => clocked(() => training.step()), peer && (() => peer!.twin.step()), {
      warmUp: 3,
      count: Math.max(10, options.steps),
    });
    const gflops = training.compiled.flops / median(runs.ours) / 1e6;
    return {
      bench: 'train-step',
      network: describeNetwork(options),
      objective: reference > 0 ? `stf ${reference}` : 'dsm',
      batch,
      parameters: subject.table.trained,
      ours: { ...ourSide(runs.ours, batch), engine: runtime.engine, compileMs: Math.round(compileMs) },
      peer: await peerSide(peer, runs.peer, batch),
      ...why,
      ...ratioOf(runs.ours, runs.peer),
      checkedSteps: expected.map(({ loss, gradientNorm }) => ({
        loss: rounded(loss, 7),
        gradientNorm: rounded(gradientNorm, 5),
      })),
      gflopPerStep: rounded(training.compiled.flops / 1e9, 4),
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
    await training.compiled.release();
  }
}

/** What is compared of a step: mean loss of an element, and Euclidean norm of the gradient. */
export interface StepCheck {
  readonly loss: number;
  readonly gradientNorm: number;
}

/** A training step of ours on fixed data, and what its twin needs to know. */
export interface PreparedTraining {
  readonly compiled: TrainStep;
  readonly forTwin: TwinTraining;
  step(): Promise<unknown>;
  checkedStep(): Promise<StepCheck>;
}

/**
 * Compiles the training step of a network for fixed images, noise and noise levels from 0.05 up.
 *
 * @param reference  size of the reference batch of the stable target; 0 for denoising score matching
 */
export async function prepareTraining(
  runtime: Runtime,
  { config, weights }: Subject,
  { batch, reference }: { readonly batch: number; readonly reference: number },
): Promise<PreparedTraining> {
  const compiled = await compileTrainStep(
    runtime,
    {
      denoiser: config,
      objective: reference > 0 ? { kind: 'stf', references: { kind: 'fresh', count: reference } } : { kind: 'dsm' },
      batch,
      rounds: 1,
      sampleDtype: 'uint8',
    },
    { weights: weights() },
  );
  const { channels, resolution } = config.network;
  const shape = [channels, resolution, resolution];
  const pixels = channels * resolution ** 2;
  const images = Uint8Array.from({ length: Math.max(batch, reference) * pixels }, (_, i) => (i * 2654435761) >>> 24);
  const noise = new Float32Array(batch * pixels);
  fillNormal(noise, { seed: 0, stream: streams.noise, step: 0, sample: 0 });
  const data = {
    clean: images.subarray(0, batch * pixels),
    noise,
    sigma: Float32Array.from({ length: batch }, (_, i) => 0.05 * 1.2 ** i),
    reference: reference > 0 ? images : undefined,
  };
  const learning = { learningRate: 1e-4, emaBeta: 0.99 };
  let count = 0;
  const step = () => compiled.run([data], { ...learning, step: ++count });
  return {
    compiled,
    step,
    checkedStep: async () => {
      const { lossPerSample, gradientNorm } = await step();
      return { loss: lossPerSample.reduce((sum, loss) => sum + loss, 0) / noise.length, gradientNorm };
    },
    forTwin: {
      ...adamDefaults,
      ...learning,
      data: {
        clean: named(data.clean, [batch, ...shape]),
        noise: named(noise, [batch, ...shape]),
        sigma: named(data.sigma, [batch]),
        ...(data.reference && { reference: named(data.reference, [reference, ...shape]) }),
      },
    },
  };
}

/** Gives the twin the work of ours, and lets it take the first steps. @throws StfError when they differ */
async function prepareTwin(twin: Twin, { forTwin }: PreparedTraining, expected: readonly StepCheck[]): Promise<void> {
  await twin.prepareTraining(forTwin);
  await compareSteps(twin, expected);
}

/** Median of three steps after one that does not count. */
async function trialStep(twin: Twin): Promise<number> {
  await twin.step();
  return median([await twin.step(), await twin.step(), await twin.step()]);
}

/** Lets the twin take the steps that ours took. @throws StfError when a loss or a gradient differs */
export async function compareSteps(twin: Twin, expected: readonly StepCheck[]): Promise<void> {
  for (const [index, ours] of expected.entries()) {
    const theirs = await twin.checkedStep();
    for (const key of ['loss', 'gradientNorm'] as const) {
      const what = `${key} of step ${index + 1} (ours ${ours[key]}, PyTorch ${theirs[key]})`;
      requireAgreement(what, Math.abs(theirs[key] / ours[key] - 1), tolerances[key]);
    }
  }
}

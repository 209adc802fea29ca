import { memoryDataset } from '../src/data/dataset.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { edmAugmentation } from '../src/data/augmentation/index.ts';
import { UsageError } from '../src/errors.ts';
import { loadCifar10 } from '../src/node/cifar10.ts';
import { inSharedMemory } from '../src/node/loader/worker-samples.ts';
import { samplePool } from '../src/node/loader/sample-pool.ts';
import { nodeRuntime } from '../src/node/onnxruntime.ts';
import type { Runtime } from '../src/runtime/index.ts';
import { batchSource } from '../src/training/batches.ts';
import { compileTrainStep, parseTrainingOptions, presets, withAugmentation } from '../src/training/index.ts';
import type { SampleLoader, TrainingOptions, TrainStep } from '../src/training/index.ts';
import { readArguments } from './arguments.ts';
import { quantile } from '../src/numerics/statistics.ts';
import { machine, median, rounded } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';

/** Seconds of the clock. */
const now = (): number => performance.now() / 1000;

/** How many worker threads are tried; 0 is no loader: each step makes its own data. */
const workerCounts = [0, 1, 2];

/**
 * Loading beside the training step: images a second of the loader alone (no step), with and without worker threads, and of
 * training steps on what it loads, with the share of the time in which they wait for it. The paper's augmentation, CIFAR-10
 * from the cache or else made-up images, denoising score matching on the network of `--network`.
 */
export async function loaderBench(argv: readonly string[]) {
  const options = readArguments(argv, { ...networkDefaults(argv), augment: 0.12, batches: 40, steps: 9, threads: 0 });
  const { batch, batches, steps, augment } = options;
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const dataset = inSharedMemory(await images());
  const training = trainingOptions(options, batch, augment);
  const step = await compileTrainStep(runtime, {
    ...training,
    sampleDtype: dataset.dtype,
  });
  const { values, sampleShape } = dataset;
  const tried = workerCounts.map((workers) => ({
    workers,
    pool:
      workers > 0 ? samplePool({ from: { kind: 'memory', values, sampleShape }, xFlip: false }, workers) : undefined,
  }));
  try {
    const work = { runtime, dataset, training, step };
    const alone: number[] = [];
    for (const { pool } of tried) alone.push(await loadedPerSecond({ ...work, loader: pool }, batches));
    const trained = await trainedInTurn(
      work,
      tried.map(({ pool }) => pool),
      steps,
    );
    const loaders = tried.map(({ workers }, i) => ({
      workers,
      imagesPerSecond: rounded(alone[i]),
      timesTheStep: rounded(alone[i] / trained[i].imagesPerSecond),
      training: trained[i],
    }));
    return {
      bench: 'loader',
      data: dataset.name,
      augment,
      batch,
      network: describeNetwork(options),
      asked: { timesTheStep: 5, waitShareBelow: 0.02 },
      loaders,
      compared: `images a second of ${batches} batches of ${batch} loaded without a step, with those of ${steps} training steps (median), of every number of workers in turn, after 2 that do not count`,
      machine: machine(runtime),
    };
  } finally {
    for (const { pool } of tried) await pool?.release();
    await step.release();
  }
}

/** CIFAR-10 where it has been fetched, else as many images of nothing. */
async function images(): Promise<Dataset> {
  try {
    return await loadCifar10({ split: 'train' });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const data = Uint8Array.from({ length: 10_000 * 3072 }, (_, i) => (i * 2654435761) >>> 24);
    return memoryDataset({ name: 'made-up', data, sampleShape: [3, 32, 32] });
  }
}

function trainingOptions(network: Parameters<typeof networkFrom>[0], batch: number, augment: number): TrainingOptions {
  const { denoiser, ...rest } = presets.quickstart;
  const plain: TrainingOptions = {
    ...rest,
    denoiser: { ...denoiser, network: networkFrom(network) },
    objective: { kind: 'dsm' },
    batch,
    rounds: 1,
  };
  return parseTrainingOptions(augment > 0 ? withAugmentation(plain, edmAugmentation(augment)) : plain);
}

interface Work {
  readonly runtime: Runtime;
  readonly dataset: Dataset;
  readonly training: TrainingOptions;
  readonly step: TrainStep;
  readonly loader: SampleLoader | undefined;
}

/** Images a second of the loader, when nothing is done with them. The first batches, which start the threads, do not count. */
async function loadedPerSecond({ runtime, dataset, training, step, loader }: Work, batches: number): Promise<number> {
  const source = await batchSource(runtime, dataset, training, step.dropoutPerSample, undefined, { loader });
  const warmUp = 5;
  for (let i = 0; i < warmUp; i++) await source.rounds(i);
  const start = now();
  for (let i = warmUp; i < warmUp + batches; i++) await source.rounds(i);
  const seconds = now() - start;
  await source.release();
  return (batches * training.batch) / seconds;
}

/** Training steps on batches as they come, one of each loader in turn: what else happens on the machine meets all. */
async function trainedInTurn(
  { runtime, dataset, training, step }: Omit<Work, 'loader'>,
  loaders: readonly (SampleLoader | undefined)[],
  steps: number,
) {
  const runs = [];
  for (const loader of loaders) {
    const source = await batchSource(runtime, dataset, training, step.dropoutPerSample, undefined, { loader, now });
    runs.push({ source, seconds: [] as number[], waits: [] as number[] });
  }
  const warmUp = 2;
  for (let i = 0; i < warmUp + steps; i++) {
    for (const { source, seconds, waits } of runs) {
      const start = now();
      await step.run(await source.rounds(i), { learningRate: 1e-4, emaBeta: 0.99, step: i + 1 });
      const [took, wait] = [now() - start, source.takeWait()];
      if (i < warmUp) continue;
      seconds.push(took);
      waits.push(wait);
    }
  }
  for (const { source } of runs) await source.release();
  const total = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0);
  return runs.map(({ seconds, waits }) => ({
    imagesPerSecond: rounded(training.batch / median(seconds)),
    stepMs: rounded(median(seconds) * 1000, 4),
    stepMsQuartiles: [0.25, 0.75].map((q) => rounded(quantile(seconds, q) * 1000, 4)),
    waitShare: rounded(total(waits) / total(seconds)),
    waitMsPerStep: rounded((total(waits) / steps) * 1000),
  }));
}

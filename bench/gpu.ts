import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StfError } from '../src/errors.ts';
import { examineDevices, matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import type { Device, DeviceFinding } from '../src/node/index.ts';
import { median } from '../src/numerics/statistics.ts';
import { readArguments } from './arguments.ts';
import { machine, rounded, time } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';
import { prepareSampling, relativeDifference } from './sample.ts';
import { makeSubject } from './subject.ts';
import { prepareTraining } from './train-step.ts';

/** Largest relative difference from the processor, of losses, gradient norms and samples. */
const tolerance = 1e-3;
/** Steps whose losses are compared. */
const checkedSteps = 2;
/** Sampler steps of the samples that are compared. */
const comparedSampling = 3;

const defaultsFor = (argv: readonly string[]) => ({
  ...networkDefaults(argv),
  reference: 1024,
  steps: 10,
  'sampler-steps': 18,
  threads: 0,
  /** 1 takes drivers along that imitate a card on the processor. */
  software: 0,
  /** One device alone, in this process. */
  device: '',
});

/** What one device computed and how fast. */
export interface Measured {
  readonly device: string;
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
  readonly samples: readonly number[];
  readonly train: object;
  readonly sample: object;
  readonly matmulGflops: number;
}

/**
 * A training step with stable targets and EDM's sampler on every device of this machine: whether they agree with the
 * processor, and their rates. Each device has a process of its own, so that one that breaks is a line of the report.
 */
export async function gpuBench(argv: readonly string[]) {
  const options = readArguments(argv, defaultsFor(argv));
  if (options.device !== '') return measure(options.device as Device, argv);
  const found = await examineDevices();
  const isTaken = ({ isUsable, isSoftware }: DeviceFinding): boolean =>
    isUsable && (!isSoftware || options.software > 0);
  const results: (Measured | { device: string; failure: string })[] = [];
  for (const { device } of found.filter(isTaken)) results.push(await elsewhere(device, argv));
  const expected = results.find((each): each is Measured => each.device === 'cpu' && 'losses' in each);
  if (!expected) throw new StfError('the processor itself could not be measured: nothing to compare with.');
  return {
    bench: 'gpu',
    network: describeNetwork(options),
    batch: options.batch,
    reference: options.reference,
    tolerance,
    devices: results.map((each) => ('failure' in each ? each : describeMeasured(each, expected))),
    notMeasured: found
      .filter((each) => !isTaken(each))
      .map(({ device, isUsable, note }) => ({ device, why: isUsable ? `${note}; --software 1 measures it` : note })),
    machine: machine(nodeRuntime(options.threads > 0 ? { threads: options.threads } : {})),
  };
}

/** A device beside the processor: whether they agree, and its rates. */
export function describeMeasured({ device, train, sample, matmulGflops, ...results }: Measured, expected: Measured) {
  const difference = (key: 'losses' | 'gradientNorms' | 'samples'): number =>
    relativeDifference(Float32Array.from(results[key]), Float32Array.from(expected[key]));
  const differences = {
    loss: rounded(difference('losses')),
    gradientNorm: rounded(difference('gradientNorms')),
    samples: rounded(difference('samples')),
  };
  const agrees = Object.values(differences).every((each) => each <= tolerance);
  return { device, agrees, differences, train, sample, matmulGflops };
}

/** Measures a device in a process of its own. */
function elsewhere(device: string, argv: readonly string[]): Promise<Measured | { device: string; failure: string }> {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [main, 'gpu', ...argv, '--json', '--device', device], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(text.stdout) as Measured);
      else resolve({ device, failure: `ended with ${signal ?? code}: ${text.stderr.trim().split('\n').at(-1) ?? ''}` });
    });
  });
}

/** Measures a device in this process. */
async function measure(device: Device, argv: readonly string[]): Promise<Measured> {
  const {
    batch,
    reference,
    steps,
    'sampler-steps': samplerSteps,
    threads,
    ...network
  } = readArguments(argv, defaultsFor(argv));
  const runtime = nodeRuntime({ device, ...(threads > 0 && { threads }) });
  const { median: matmulGflops } = await matrixProductRate(runtime);
  const subject = makeSubject(networkFrom(network));

  const training = await prepareTraining(runtime, subject, { batch, reference });
  const losses: number[] = [];
  const gradientNorms: number[] = [];
  for (let step = 0; step < checkedSteps; step++) {
    const { loss, gradientNorm } = await training.checkedStep();
    losses.push(loss);
    gradientNorms.push(gradientNorm);
  }
  const stepTiming = await time(() => training.step(), { warmUp: 1, count: Math.max(1, steps) });
  const stepGflops = training.compiled.flops / stepTiming.median / 1e6;
  await training.compiled.release();

  const sampling = await prepareSampling(runtime, subject, batch);
  const samples = await sampling.draw(comparedSampling);
  const before = sampling.denoiser.evaluations;
  const { runs } = await time(() => sampling.draw(samplerSteps), { warmUp: 0, count: 1 });
  const evaluations = sampling.denoiser.evaluations - before;
  const sampleGflops = (sampling.flopsPerEvaluation * evaluations) / median(runs) / 1e6;
  await sampling.denoiser.release();
  return {
    device,
    losses,
    gradientNorms,
    samples: [...samples],
    train: {
      ms: rounded(stepTiming.median, 4),
      imagesPerSecond: rounded((batch / stepTiming.median) * 1000),
      gflops: rounded(stepGflops, 4),
      shareOfMatmulRate: rounded(stepGflops / matmulGflops),
    },
    sample: {
      msPerEvaluation: rounded(median(runs) / evaluations, 4),
      imagesPerSecond: rounded((batch / median(runs)) * 1000),
      gflops: rounded(sampleGflops, 4),
      shareOfMatmulRate: rounded(sampleGflops / matmulGflops),
    },
    matmulGflops: rounded(matmulGflops, 4),
  };
}

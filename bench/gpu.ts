import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StfError, UsageError } from '../src/errors.ts';
import { precisions } from '../src/graph/index.ts';
import type { Precision } from '../src/graph/index.ts';
import { examineDevices, matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import type { Device, DeviceFinding } from '../src/node/index.ts';
import { median } from '../src/numerics/statistics.ts';
import { readArguments } from './arguments.ts';
import { measurePeer } from './gpu-peer.ts';
import { machine, rounded, time } from './measure.ts';
import { describeNetwork, networkDefaults, networkFrom } from './networks.ts';
import { prepareSampling, relativeDifference } from './sample.ts';
import { makeSubject } from './subject.ts';
import { prepareTraining } from './train-step.ts';

/** Largest relative difference from the processor in float32, of losses, gradient norms and samples. */
const tolerances = { float32: 1e-3, float16: 1e-2 } as const;
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
  /** In what it computes; in both when left out, where it is a card. */
  precision: '',
  /** Where the PyTorch twin computes; `none` leaves it out. */
  'peer-device': 'cuda',
});

type Options = ReturnType<typeof readArguments<ReturnType<typeof defaultsFor>>>;

/** What one device computed and how fast. */
export interface Measured {
  readonly device: string;
  readonly precision: Precision;
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
  readonly samples: readonly number[];
  readonly train: object;
  readonly sample: object;
  readonly matmulGflops: number;
}

/** A measurement that came to nothing. */
interface Failed {
  readonly device: string;
  readonly precision: Precision;
  readonly failure: string;
}

/**
 * A training step with stable targets and EDM's sampler on every device of this machine, on cards in float16 too: whether
 * they agree with the processor, and their rates. Each device has a process of its own, so that one that breaks is a line
 * of the report. Where PyTorch has a card, its twin runs there, too.
 */
export async function gpuBench(argv: readonly string[]) {
  const options = readArguments(argv, defaultsFor(argv));
  if (options.device !== '') return measure(options.device as Device, precisionFrom(options), argv);
  if (options.precision !== '') precisionFrom(options);
  const found = await examineDevices();
  const isTaken = ({ isUsable, isSoftware }: DeviceFinding): boolean =>
    isUsable && (!isSoftware || options.software > 0);
  const results: (Measured | Failed)[] = [];
  for (const { device } of found.filter(isTaken))
    for (const precision of precisions)
      // The processor has no float16, and in float32 it is what the others are compared with.
      if (device === 'cpu' ? precision === 'float32' : ['', precision].includes(options.precision))
        results.push(await elsewhere(device, precision, argv));
  const expected = results.find((each): each is Measured => each.device === 'cpu' && 'losses' in each);
  if (!expected) throw new StfError('the processor itself could not be measured: nothing to compare with.');
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  return {
    bench: 'gpu',
    network: describeNetwork(options),
    batch: options.batch,
    reference: options.reference,
    tolerances,
    devices: results.map((each) => ('failure' in each ? each : describeMeasured(each, expected))),
    ...(await besidePyTorch(options, runtime.threads, expected)),
    notMeasured: found
      .filter((each) => !isTaken(each))
      .map(({ device, isUsable, note }) => ({ device, why: isUsable ? `${note}; --software 1 measures it` : note })),
    machine: machine(runtime),
  };
}

/** @throws UsageError for a precision that there is not */
function precisionFrom({ precision }: { readonly precision: string }): Precision {
  const found = precisions.find((each) => each === (precision || 'float32'));
  if (found === undefined)
    throw new UsageError(`--precision: unknown value "${precision}". Choose one of: ${precisions.join(', ')}.`);
  return found;
}

/** The PyTorch twin on its device, or why there is none. */
async function besidePyTorch(options: Options, threads: number, expected: Measured) {
  const { batch, reference, steps, 'sampler-steps': samplerSteps, 'peer-device': device, ...network } = options;
  if (device === 'none') return { peer: null, whyNoPeer: '--peer-device none' };
  const subject = makeSubject(networkFrom(network));
  const work = { subject, batch, reference, steps, samplerSteps, checkedSteps, comparedSampling, threads };
  const measured = await measurePeer(device, work);
  if ('why' in measured) return { peer: null, whyNoPeer: measured.why };
  const { train, sample, engine, tf32 } = measured;
  const agreement = agreementOf({ ...measured, precision: 'float32' }, expected);
  return { peer: { ...agreement, train, sample, ...(tf32 && { tf32 }), ...engine } };
}

/** What is compared of a device. */
type Compared = Pick<Measured, 'losses' | 'gradientNorms' | 'samples' | 'precision'>;

/** Whether what was computed is what the processor computes. */
function agreementOf(results: Compared, expected: Compared) {
  const difference = (key: 'losses' | 'gradientNorms' | 'samples'): number =>
    relativeDifference(Float32Array.from(results[key]), Float32Array.from(expected[key]));
  const differences = {
    loss: rounded(difference('losses')),
    gradientNorm: rounded(difference('gradientNorms')),
    samples: rounded(difference('samples')),
  };
  const agrees = Object.values(differences).every((each) => each <= tolerances[results.precision]);
  return { agrees, differences };
}

/** A device beside the processor: whether they agree, and its rates. */
export const describeMeasured = (measured: Measured, expected: Measured) => {
  const { device, precision, train, sample, matmulGflops } = measured;
  return { device, precision, ...agreementOf(measured, expected), train, sample, matmulGflops };
};

/** Measures a device in a process of its own. */
function elsewhere(device: string, precision: Precision, argv: readonly string[]): Promise<Measured | Failed> {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(
    process.execPath,
    [main, 'gpu', ...argv, '--json', '--device', device, '--precision', precision],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const lines = text.stderr.trim().split('\n');
      const why = `ended with ${signal ?? code}: ${lines.find((line) => line.startsWith('bench: ')) ?? lines.at(-1)}`;
      resolve(code === 0 ? (JSON.parse(text.stdout) as Measured) : { device, precision, failure: why });
    });
  });
}

/** Measures a device in this process. */
async function measure(device: Device, precision: Precision, argv: readonly string[]): Promise<Measured> {
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

  const training = await prepareTraining(runtime, subject, { batch, reference, precision });
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

  const sampling = await prepareSampling(runtime, subject, batch, precision);
  const samples = await sampling.draw(comparedSampling);
  const before = sampling.denoiser.evaluations;
  const { runs } = await time(() => sampling.draw(samplerSteps), { warmUp: 0, count: 1 });
  const evaluations = sampling.denoiser.evaluations - before;
  const sampleGflops = (sampling.flopsPerEvaluation * evaluations) / median(runs) / 1e6;
  await sampling.denoiser.release();
  return {
    device,
    precision,
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

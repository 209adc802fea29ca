import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { UsageError } from '../src/errors.ts';
import { concat, div, input, matmul, mul, reshape, add, slice, softmax, square, sub, sum } from '../src/graph/index.ts';
import type { DType, Tensor } from '../src/graph/index.ts';
import { nodeRuntime } from '../src/node/index.ts';
import { fillNormal, fillUniform, streams } from '../src/numerics/random.ts';
import { compileStreamedMean, stableTarget } from '../src/objective/index.ts';
import type { Perturbation } from '../src/objective/index.ts';
import type { Program, Runtime } from '../src/runtime/index.ts';
import { readArguments } from './arguments.ts';
import { cifar10OrTheLike } from './data.ts';
import { machine, median, peakMemoryMb, rounded, time } from './measure.ts';
import { matrixProduct, milliseconds } from './product.ts';

const defaults = {
  batch: 64,
  reference: [1024, 4096] as readonly number[],
  dim: 3072,
  steps: 20,
  threads: 0,
  /** References that the streamed posterior takes at a time. */
  block: 2048,
  /** Processes that each target is measured in. */
  processes: 3,
  /** Batch of the training step beside it. */
  'step-batch': 32,
  part: 'all',
};

type Options = { readonly [K in keyof typeof defaults]: (typeof defaults)[K] };

/** Each part runs in a process of its own, so that the memory of one is not counted in another. */
const parts: Readonly<Record<string, (options: Options, runtime: Runtime) => Promise<object>>> = {
  float32: (options, runtime) => target(options, runtime, 'float32'),
  uint8: (options, runtime) => target(options, runtime, 'uint8'),
  direct,
  whole,
};

/**
 * The stable target of a batch: two matrix products with a soft-max between them. Reports
 * - `targets`: its rate as a share of the machine's matrix-product rate, measured in turns, counting the two products
 *   that define it; and the growth of resident memory, beside the inputs and the B × n weights, in a process that has
 *   run a tiny target. References are float32 values, or uint8 pixels as data sets hold them. Several processes measure
 *   each, and the middle one is reported;
 * - `direct` with them: the same target from explicit differences x - y, B × n × d of them, in the same engine;
 * - `whole`: all 50,000 images of CIFAR-10 as references, streamed, beside one training step. Costs are compared
 *   sample for sample.
 *
 * `--part float32|uint8|direct|whole` reports one of them.
 */
export async function stableTargetBench(argv: readonly string[]) {
  const options = readArguments(argv, defaults);
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const part = parts[options.part];
  if (part) return part(options, runtime);
  if (options.part !== 'all')
    throw new UsageError(
      `--part: unknown value "${options.part}". Choose one of: all, ${Object.keys(parts).join(', ')}.`,
    );
  const shared = argv.filter((each) => each !== '--json');
  const targets: Record<string, object> = {};
  for (const reference of options.reference) {
    const part = <Report>(name: string): Promise<Report> =>
      inOwnProcess<Report>('stable-target', [...shared, '--reference', String(reference), '--part', name]);
    const float32 = await repeated(options.processes, () => part<TargetReport>('float32'));
    const uint8 = await repeated(options.processes, () => part<TargetReport>('uint8'));
    const explicit = await part<DirectReport>('direct');
    targets[`n${reference}`] = {
      float32,
      uint8,
      direct: { ...explicit, speedup: rounded(explicit.ms / float32.ms.median) },
    };
  }
  const wholeData = await inOwnProcess<WholeReport>('stable-target', [...shared, '--part', 'whole']);
  const step = await inOwnProcess<StepReport>('train-step', [
    ...['--batch', String(options['step-batch'])],
    ...['--threads', String(options.threads), '--peer', 'none'],
  ]);
  const stepMsPerSample = step.ours.ms.median / step.batch;
  return {
    bench: 'stable-target',
    batch: options.batch,
    dim: options.dim,
    targets,
    whole: {
      ...wholeData,
      trainStep: {
        network: step.network,
        batch: step.batch,
        ms: step.ours.ms.median,
        msPerSample: rounded(stepMsPerSample),
      },
      costInTrainSteps: rounded(wholeData.msPerSample / stepMsPerSample),
    },
    machine: machine(runtime),
  };
}

/** Of several processes that did the same the one in the middle, and the median of their memory's growth. */
async function repeated(count: number, run: () => Promise<TargetReport>): Promise<TargetReport> {
  const reports: TargetReport[] = [];
  for (let i = 0; i < Math.max(1, count); i++) reports.push(await run());
  reports.sort((a, b) => a.shareOfMatmulRate - b.shareOfMatmulRate);
  const middle = reports[Math.floor(reports.length / 2)];
  const growthMb = median(reports.map(({ memory }) => memory.growthMb));
  const { inputsMb, weightsMb } = middle.memory;
  const timesInputsAndWeights = rounded(growthMb / (inputsMb + weightsMb));
  return { ...middle, memory: { ...middle.memory, growthMb, timesInputsAndWeights } };
}

interface StepReport {
  readonly network: object;
  readonly batch: number;
  readonly ours: { readonly ms: { readonly median: number } };
}

async function inOwnProcess<Report>(bench: string, argv: readonly string[]): Promise<Report> {
  const { stdout } = await promisify(execFile)(process.execPath, [process.argv[1], bench, ...argv, '--json']);
  return JSON.parse(stdout) as Report;
}

type TargetReport = Awaited<ReturnType<typeof target>>;

/** The engine plans its memory in the first run and takes it in the second. */
const runsForMemory = 3;

const residentMb = (): number => process.memoryUsage().rss / 2 ** 20;

async function target({ batch, reference, dim, steps }: Options, runtime: Runtime, values: 'float32' | 'uint8') {
  const [count] = reference;
  // What the engine and this code take whatever the size is in place before memory is counted.
  const warmUp = await compileTarget(runtime, { batch: 2, count: 300, dim: 8, values });
  const few = makeFeeds(2, 300, 8, values);
  for (let i = 0; i < runsForMemory; i++) await warmUp.run(few);
  const before = residentMb();
  const feeds = makeFeeds(batch, count, dim, values);
  const program = await compileTarget(runtime, { batch, count, dim, values });
  for (let i = 0; i < runsForMemory; i++) await program.run(feeds);
  const growthMb = peakMemoryMb() - before;
  const weightsMb = (batch * count * 4) / 2 ** 20;
  const inputsMb = Object.values(feeds).reduce((bytes, each) => bytes + each.byteLength, 0) / 2 ** 20;

  const product = await matrixProduct(runtime);
  const runs: number[] = [];
  const rates: number[] = [];
  for (let i = 0; i < Math.max(10, steps); i++) {
    rates.push(product.flops / (await milliseconds(product.run)) / 1e6);
    runs.push(await milliseconds(() => program.run(feeds)));
  }
  await program.release();
  const ms = median(runs);
  const flops = 2 * 2 * batch * count * dim;
  const matmulGflops = median(rates);
  return {
    ms: { median: rounded(ms, 4), best: rounded(Math.min(...runs), 4), runs: runs.length },
    targetsPerSecond: rounded((batch / ms) * 1000),
    gflop: rounded(flops / 1e9, 4),
    gflops: rounded(flops / ms / 1e6, 4),
    matmulGflops: rounded(matmulGflops, 4),
    shareOfMatmulRate: rounded(flops / ms / 1e6 / matmulGflops),
    memory: {
      inputsMb: rounded(inputsMb),
      weightsMb: rounded(weightsMb),
      beforeMb: rounded(before),
      growthMb: rounded(growthMb),
      timesInputsAndWeights: rounded(growthMb / (inputsMb + weightsMb)),
    },
  };
}

const compileTarget = (
  runtime: Runtime,
  { batch, count, dim, values }: { batch: number; count: number; dim: number; values: DType },
): Promise<Program> =>
  runtime.compile({
    name: 'stable target',
    outputs: { target: stableTarget(perturbationInputs(batch, dim), input('reference', [count, dim], values)) },
  });

const perturbationInputs = (batch: number, dim: number): Perturbation => ({
  clean: input('clean', [batch, dim]),
  noise: input('noise', [batch, dim]),
  sigma: input('sigma', [batch]),
});

/** Uniform references of which the sources are the first; noise levels from 0.002 upwards, as many as fit below 100. */
function makeFeeds(batch: number, count: number, dim: number, values: DType) {
  const reference = values === 'uint8' ? new Uint8Array(count * dim) : new Float32Array(count * dim);
  const clean = new Float32Array(batch * dim);
  const row = new Float32Array(dim);
  for (let k = 0; k < count; k++) {
    fillUniform(row, { seed: 0, stream: streams.evaluation, step: 0, sample: k });
    for (let i = 0; i < dim; i++) {
      const at = k * dim + i;
      reference[at] = values === 'uint8' ? Math.floor(256 * row[i]) : 2 * row[i] - 1;
      if (k < batch) clean[at] = values === 'uint8' ? reference[at] / 127.5 - 1 : reference[at];
    }
  }
  return { ...makeNoise(batch, dim), clean, reference };
}

function makeNoise(batch: number, dim: number) {
  const noise = new Float32Array(batch * dim);
  fillNormal(noise, { seed: 0, stream: streams.noise, step: 0, sample: 0 });
  const ratio = Math.pow(80 / 0.002, 1 / Math.max(1, batch - 1));
  return { noise, sigma: Float32Array.from({ length: batch }, (_, i) => 0.002 * ratio ** i) };
}

type DirectReport = Awaited<ReturnType<typeof direct>>;

/** References whose differences from the batch are held at a time. */
const directAtATime = 32;

/** The target by its definition: differences x - y, squared, summed and weighed. */
async function direct({ batch, reference, dim }: Options, runtime: Runtime) {
  const [count] = reference;
  const { clean, noise, sigma } = perturbationInputs(batch, dim);
  const level = reshape(sigma, [batch, 1]);
  const x = reshape(add(clean, mul(level, noise)), [batch, 1, dim]);
  const references = input('reference', [count, dim]);
  const distances: Tensor[] = [];
  for (let start = 0; start < count; start += directAtATime) {
    const part = slice(references, 0, start, Math.min(count, start + directAtATime));
    distances.push(sum(square(sub(x, reshape(part, [1, part.shape[0], dim]))), 2));
  }
  const weights = softmax(div(concat(distances, 1), mul(square(level), -2)));
  const program = await runtime.compile({ name: 'direct', outputs: { target: matmul(weights, references) } });
  const feeds = makeFeeds(batch, count, dim, 'float32');
  const timing = await time(() => program.run(feeds), { warmUp: 1, count: 5 });
  await program.release();
  return { ms: rounded(timing.median, 4) };
}

type WholeReport = Awaited<ReturnType<typeof whole>>;

/** Targets of a batch with a whole data set as references. */
async function whole({ batch, block }: Options, runtime: Runtime) {
  const dataset = await cifar10OrTheLike();
  const dimension = dataset.sampleShape.reduce((product, extent) => product * extent, 1);
  const means = await compileStreamedMean(runtime, dataset, { samples: batch, block });
  const clean = new Float32Array(batch * dimension);
  for (let i = 0; i < batch; i++) dataset.read(i, clean, i * dimension);
  const samples = { ...makeNoise(batch, dimension), clean };
  const timing = await time(() => means.over(samples), { warmUp: 1, count: 5 });
  await means.release();
  return {
    dataSet: dataset.name,
    references: dataset.length,
    block,
    ms: rounded(timing.median, 4),
    msPerSample: rounded(timing.median / batch),
    peakMemoryMb: Math.round(peakMemoryMb()),
  };
}

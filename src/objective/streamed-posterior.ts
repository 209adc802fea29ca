import { ShapeError, UsageError } from '../errors.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { constant, evaluate, input } from '../graph/index.ts';
import type { Tensor, TensorData } from '../graph/index.ts';
import type { Program, Runtime } from '../runtime/index.ts';
import { pixelOrigin, rowsForCentre } from './frame.ts';
import { emptySums, finishPosterior, takeReferences } from './posterior-mean.ts';
import type { Posterior, PosteriorSums } from './posterior-mean.ts';
import { nobody } from './references/source.ts';

/** Noisy samples x = clean + sigma · noise, as values. */
export interface PerturbedSamples {
  /** Clean samples [S, d]. */
  readonly clean: Float32Array;
  /** Unit normal noise [S, d]. */
  readonly noise: Float32Array;
  /** Noise levels [S]. */
  readonly sigma: Float32Array;
  /** Class of each sample; references of other classes are left out. Left out: all references count. */
  readonly labels?: ArrayLike<number> | undefined;
}

/** The posterior p(clean | x) over a set of references, a value for each sample. */
export interface PosteriorValues {
  /** Posterior means [S, d]. */
  readonly mean: Float64Array;
  /** Trace of the posterior covariance [S]. */
  readonly variance: Float64Array;
  /** Effective number of sources 1 / Σ w² [S]. */
  readonly effectiveSources: Float64Array;
}

/** Consecutive positions in a data set, from `start` up to but not including `end`. */
export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

/** Something worked out over reference sets of any size, taken a block at a time in memory that does not grow with them. */
interface Streamed<Result> {
  /**
   * @param perturbed   at most as many samples as was compiled for
   * @param references  positions in the data set, one by one or as a range; left out: the whole data set
   * @throws UsageError for more samples, no references, positions outside the data set, or a sample of a class that no
   *   reference has
   * @throws ShapeError when the values do not fit the number of samples
   */
  over(perturbed: PerturbedSamples, references?: ArrayLike<number> | PositionRange): Promise<Result>;
  release(): Promise<void>;
}

export type StreamedPosterior = Streamed<PosteriorValues>;

/** Posterior means [S, d] alone. */
export type StreamedMean = Streamed<Float64Array>;

/** How much is taken at a time. */
export interface StreamOptions {
  /** Noisy samples, S: each call takes the time of as many. */
  readonly samples: number;
  /** References: the memory is S · block weights and block · d values. */
  readonly block: number;
}

/** Compiles the streamed posterior over references from a data set: 6 · S · n · d operations over n of them. */
export async function compileStreamedPosterior(
  runtime: Runtime,
  dataset: Dataset,
  options: StreamOptions,
): Promise<StreamedPosterior> {
  const setup = await compileStream(runtime, dataset, options, allSums);
  return {
    over: async (perturbed, references) => {
      const [mean, variance, effectiveSources] = await stream(runtime, setup, perturbed, references, (posterior) => [
        posterior.mean,
        posterior.variance,
        posterior.effectiveSources,
      ]);
      return { mean, variance, effectiveSources };
    },
    release: () => setup.program.release(),
  };
}

/** The same for the posterior mean alone, which is the stable target: 4 · S · n · d operations. */
export async function compileStreamedMean(
  runtime: Runtime,
  dataset: Dataset,
  options: StreamOptions,
): Promise<StreamedMean> {
  const setup = await compileStream(runtime, dataset, options, sumsOfMean);
  return {
    over: async (perturbed, references) =>
      (await stream(runtime, setup, perturbed, references, (posterior) => [posterior.mean]))[0],
    release: () => setup.program.release(),
  };
}

type SumName = keyof PosteriorSums;
const sumsOfMean = ['largest', 'total', 'weighted'] as const satisfies SumName[];
const allSums = [...sumsOfMean, 'squaredDistances', 'squaredWeights'] as const satisfies SumName[];

interface Setup extends StreamOptions {
  readonly program: Program;
  readonly dataset: Dataset;
  readonly names: readonly SumName[];
  /** The sums over no references, as state. */
  readonly empty: Parameters<Runtime['createState']>[0];
}

/** A program that takes a block of references into sums that are its state. Bytes go to the engine as they are. */
async function compileStream(
  runtime: Runtime,
  dataset: Dataset,
  { samples, block }: StreamOptions,
  names: readonly SumName[],
): Promise<Setup> {
  const dimension = sampleSize(dataset);
  const start = emptySums(samples, dimension);
  const before = { ...start };
  for (const name of names) before[name] = input(name, start[name].shape);
  const perturbation = {
    clean: input('clean', [samples, dimension]),
    noise: input('noise', [samples, dimension]),
    sigma: input('sigma', [samples]),
  };
  const after = takeReferences(
    before,
    perturbation,
    input('reference', [block, dimension], dataset.dtype),
    dataset.dtype === 'uint8' ? constant(pixelOrigin, [1, dimension]) : input('centre', [1, dimension]),
    {
      labels: {
        source: input('sourceLabels', [samples], 'int64'),
        reference: input('referenceLabels', [block], 'int64'),
      },
    },
  );
  const program = await runtime.compile({
    name: 'streamed posterior',
    outputs: {},
    state: Object.fromEntries(names.map((name) => [name, { current: before[name], next: after[name] }])),
  });
  const values = evaluate(names.map((name) => start[name]));
  const empty = Object.fromEntries(
    names.map((name, i) => [
      name,
      { shape: values[i].shape, dtype: 'float32' as const, data: Float32Array.from(values[i].data) },
    ]),
  );
  return { program, dataset, names, empty, samples, block };
}

/** Label of places that hold no sample: it matches nothing. */
const noSample = -3n;

async function stream(
  runtime: Runtime,
  setup: Setup,
  perturbed: PerturbedSamples,
  references: ArrayLike<number> | PositionRange = { start: 0, end: setup.dataset.length },
  wanted: (posterior: Posterior) => Tensor[],
): Promise<Float64Array[]> {
  const { program, dataset, empty, block, names } = setup;
  const { labels } = perturbed;
  const dimension = sampleSize(dataset);
  const padded = padSamples(perturbed, setup.samples, dimension);
  const length = 'length' in references ? references.length : references.end - references.start;
  if (!(length >= 1)) throw new UsageError(`streamed posterior: needs at least 1 reference, got ${length}.`);
  const state = runtime.createState(empty);
  const isBytes = dataset.dtype === 'uint8';
  const values = isBytes ? new Uint8Array(block * dimension) : new Float32Array(block * dimension);
  const referenceLabels = new BigInt64Array(block);
  let centre: Float32Array | undefined;
  for (let at = 0; at < length; at += block) {
    const count = Math.min(block, length - at);
    for (let i = 0; i < count; i++) {
      const index = 'length' in references ? references[at + i] : references.start + at + i;
      dataset.read(index, values, i * dimension);
      referenceLabels[i] = BigInt(labels ? dataset.label(index) : 0);
    }
    referenceLabels.fill(nobody, count);
    // Any point amid the data does. For pixels it is the middle of their range, which the program knows.
    centre ??= isBytes
      ? new Float32Array(dimension).fill(pixelOrigin)
      : meanOf(values, Math.min(count, rowsForCentre), dimension);
    await program.run({ ...padded, reference: values, referenceLabels, ...(!isBytes && { centre }) }, state);
  }
  const sums: Record<string, Float32Array> = {};
  for (const name of names) sums[name] = (await state.read(name)) as Float32Array;
  const lonely = sums.total.subarray(0, perturbed.sigma.length).findIndex((total) => total === 0);
  if (lonely >= 0)
    throw new UsageError(
      `streamed posterior: no reference counts for sample ${lonely}: none of the ${length} has its class, ${labels?.[lonely]}.`,
    );
  return finish(sums, centre!, perturbed, wanted);
}

/** The samples as the program takes them: as many as it was compiled for, the rest at the origin and of no class. */
function padSamples(
  { clean, noise, sigma, labels }: PerturbedSamples,
  samples: number,
  dimension: number,
): Record<string, TensorData> {
  const count = sigma.length;
  if (count > samples)
    throw new UsageError(`streamed posterior: takes at most ${samples} samples at a time, got ${count}.`);
  if (clean.length !== count * dimension || noise.length !== count * dimension) {
    throw new ShapeError(
      `streamed posterior: ${count} samples of ${dimension} values need as many of clean and noise, got ${clean.length} and ${noise.length}.`,
    );
  }
  const pad = (values: Float32Array, size: number, rest: number): Float32Array => {
    if (values.length === size) return values;
    const all = new Float32Array(size).fill(rest, values.length);
    all.set(values);
    return all;
  };
  return {
    clean: pad(clean, samples * dimension, 0),
    noise: pad(noise, samples * dimension, 0),
    sigma: pad(sigma, samples, 1),
    sourceLabels: BigInt64Array.from({ length: samples }, (_, i) =>
      i >= count ? noSample : BigInt(labels ? labels[i] : 0),
    ),
  };
}

function meanOf(values: Uint8Array | Float32Array, count: number, dimension: number): Float32Array {
  const mean = new Float64Array(dimension);
  for (let i = 0; i < count * dimension; i++) mean[i % dimension] += values[i] / count;
  return Float32Array.from(mean);
}

/** The posterior from its sums, in float64, for the samples that there are. */
function finish(
  sums: Readonly<Record<string, Float32Array>>,
  centre: Float32Array,
  { clean, sigma }: PerturbedSamples,
  wanted: (posterior: Posterior) => Tensor[],
): Float64Array[] {
  const samples = sigma.length;
  const rows = (values: Float32Array, columns: number): Tensor =>
    constant(Float64Array.from(values.subarray(0, samples * columns)), [samples, columns], 'float64');
  const dimension = centre.length;
  const known: Partial<Record<SumName, Tensor>> = {};
  for (const name of Object.keys(sums) as SumName[])
    known[name] = rows(sums[name], name === 'weighted' ? dimension : 1);
  const all = { ...emptySums(samples, dimension, 'float64'), ...known };
  const posterior = finishPosterior(
    all,
    constant(Float64Array.from(centre), [1, dimension], 'float64'),
    rows(clean, dimension),
  );
  return evaluate(wanted(posterior)).map(({ data }) => data);
}

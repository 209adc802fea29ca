import { ShapeError, UsageError } from '../errors.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { cast, constant, evaluate, input } from '../graph/index.ts';
import type { Tensor, TensorData } from '../graph/index.ts';
import type { Program, Runtime } from '../runtime/index.ts';
import { pixelOrigin, rowsForCentre } from './frame.ts';
import { emptySums, finishPosterior, weighReferences } from './posterior-mean.ts';
import type { Posterior, PosteriorSums } from './posterior-mean.ts';
import { nobody } from './references/source.ts';

export type Floats = Float32Array | Float64Array;

/** Noisy samples x = clean + sigma · noise, as values. */
export interface PerturbedSamples {
  /** Clean samples [S, d]. */
  readonly clean: Floats;
  /** Unit normal noise [S, d]. */
  readonly noise: Floats;
  /** Noise levels [S]. */
  readonly sigma: Floats;
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

/** The posterior with the weight of every reference. */
export interface DetailedPosteriorValues extends PosteriorValues {
  /** ln w of each reference up to a constant of the sample, relative to the clean sample itself [S, n]; -1e30 for one of another class. */
  readonly logWeights: Floats;
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

export type DetailedPosterior = Streamed<DetailedPosteriorValues>;

/** How much is taken at a time. */
export interface StreamOptions {
  /** Noisy samples, S: each call takes the time of as many. */
  readonly samples: number;
  /** References: the memory is S · block weights and block · d values. */
  readonly block: number;
  /** What is computed in. Float64 takes several times as long and no accelerator has it. Default float32. */
  readonly precision?: 'float32' | 'float64';
}

/** Compiles the streamed posterior over references from a data set: 6 · S · n · d operations over n of them. */
export async function compileStreamedPosterior(
  runtime: Runtime,
  dataset: Dataset,
  options: StreamOptions,
): Promise<StreamedPosterior> {
  const setup = await compileStream(runtime, dataset, options, allSums);
  return {
    over: async (perturbed, references) =>
      valuesOf((await stream(runtime, setup, perturbed, references, moments)).values),
    release: () => setup.program.release(),
  };
}

/** The same with the weight of every reference, S · n of them beside the rest of the memory. */
export async function compileDetailedPosterior(
  runtime: Runtime,
  dataset: Dataset,
  options: StreamOptions,
): Promise<DetailedPosterior> {
  const setup = await compileStream(runtime, dataset, options, allSums, true);
  return {
    over: async (perturbed, references) => {
      const { values, logWeights } = await stream(runtime, setup, perturbed, references, moments);
      return { ...valuesOf(values), logWeights: logWeights! };
    },
    release: () => setup.program.release(),
  };
}

const moments = ({ mean, variance, effectiveSources }: Posterior): Tensor[] => [mean, variance, effectiveSources];

const valuesOf = ([mean, variance, effectiveSources]: Float64Array[]): PosteriorValues => ({
  mean,
  variance,
  effectiveSources,
});

/** The same for the posterior mean alone, which is the stable target: 4 · S · n · d operations. */
export async function compileStreamedMean(
  runtime: Runtime,
  dataset: Dataset,
  options: StreamOptions,
): Promise<StreamedMean> {
  const setup = await compileStream(runtime, dataset, options, sumsOfMean);
  return {
    over: async (perturbed, references) =>
      (await stream(runtime, setup, perturbed, references, (posterior) => [posterior.mean])).values[0],
    release: () => setup.program.release(),
  };
}

type SumName = keyof PosteriorSums;
const sumsOfMean = ['largest', 'total', 'weighted'] as const satisfies SumName[];
const allSums = [...sumsOfMean, 'squaredDistances', 'squaredWeights'] as const satisfies SumName[];

type Precision = NonNullable<StreamOptions['precision']>;

const floatsOf = (precision: Precision): Float32ArrayConstructor | Float64ArrayConstructor =>
  precision === 'float64' ? Float64Array : Float32Array;

interface Setup extends Required<StreamOptions> {
  readonly withLogWeights: boolean;
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
  { samples, block, precision = 'float32' }: StreamOptions,
  names: readonly SumName[],
  withLogWeights = false,
): Promise<Setup> {
  const dimension = sampleSize(dataset);
  const start = emptySums(samples, dimension, precision);
  const before = { ...start };
  for (const name of names) before[name] = input(name, start[name].shape, precision);
  const perturbation = {
    clean: input('clean', [samples, dimension], precision),
    noise: input('noise', [samples, dimension], precision),
    sigma: input('sigma', [samples], precision),
  };
  const stored = input('reference', [block, dimension], dataset.dtype);
  const isBytes = dataset.dtype === 'uint8';
  const { sums: after, logWeights } = weighReferences(
    before,
    perturbation,
    isBytes || precision === 'float32' ? stored : cast(stored, precision),
    isBytes ? constant(pixelOrigin, [1, dimension], precision) : input('centre', [1, dimension], precision),
    {
      labels: {
        source: input('sourceLabels', [samples], 'int64'),
        reference: input('referenceLabels', [block], 'int64'),
      },
    },
  );
  const program = await runtime.compile({
    name: 'streamed posterior',
    outputs: withLogWeights ? { logWeights } : {},
    state: Object.fromEntries(names.map((name) => [name, { current: before[name], next: after[name] }])),
  });
  const values = evaluate(names.map((name) => start[name]));
  const empty = Object.fromEntries(
    names.map((name, i) => [
      name,
      { shape: values[i].shape, dtype: precision, data: floatsOf(precision).from(values[i].data) },
    ]),
  );
  return { program, dataset, names, empty, samples, block, precision, withLogWeights };
}

/** Label of places that hold no sample: it matches nothing. */
const noSample = -3n;

async function stream(
  runtime: Runtime,
  setup: Setup,
  perturbed: PerturbedSamples,
  references: ArrayLike<number> | PositionRange = { start: 0, end: setup.dataset.length },
  wanted: (posterior: Posterior) => Tensor[],
): Promise<{ values: Float64Array[]; logWeights: Floats | undefined }> {
  const { program, dataset, empty, block, names, precision } = setup;
  const { labels } = perturbed;
  const dimension = sampleSize(dataset);
  const padded = padSamples(perturbed, setup, dimension);
  const length = 'length' in references ? references.length : references.end - references.start;
  if (!(length >= 1)) throw new UsageError(`streamed posterior: needs at least 1 reference, got ${length}.`);
  const state = runtime.createState(empty);
  const isBytes = dataset.dtype === 'uint8';
  const values = isBytes ? new Uint8Array(block * dimension) : new Float32Array(block * dimension);
  const referenceLabels = new BigInt64Array(block);
  const count = perturbed.sigma.length;
  const Values = floatsOf(precision);
  const logWeights = setup.withLogWeights ? new Values(count * length) : undefined;
  let centre: Floats | undefined;
  for (let at = 0; at < length; at += block) {
    const taken = Math.min(block, length - at);
    for (let i = 0; i < taken; i++) {
      const index = 'length' in references ? references[at + i] : references.start + at + i;
      dataset.read(index, values, i * dimension);
      referenceLabels[i] = BigInt(labels ? dataset.label(index) : 0);
    }
    referenceLabels.fill(nobody, taken);
    // Any point amid the data does. For pixels it is the middle of their range, which the program knows.
    centre ??= isBytes
      ? new Values(dimension).fill(pixelOrigin)
      : Values.from(meanOf(values, Math.min(taken, rowsForCentre), dimension));
    const outputs = await program.run(
      { ...padded, reference: values, referenceLabels, ...(!isBytes && { centre }) },
      state,
    );
    const found = outputs.logWeights as Floats | undefined;
    for (let s = 0; logWeights && found && s < count; s++)
      logWeights.set(found.subarray(s * block, s * block + taken), s * length + at);
  }
  const sums: Record<string, Floats> = {};
  for (const name of names) sums[name] = (await state.read(name)) as Floats;
  const lonely = sums.total.subarray(0, count).findIndex((total) => total === 0);
  if (lonely >= 0)
    throw new UsageError(
      `streamed posterior: no reference counts for sample ${lonely}: none of the ${length} has its class, ${labels?.[lonely]}.`,
    );
  return { values: finish(sums, centre!, perturbed, wanted), logWeights };
}

/** The samples as the program takes them: as many as it was compiled for, the rest at the origin and of no class. */
function padSamples(
  { clean, noise, sigma, labels }: PerturbedSamples,
  { samples, precision }: Pick<Setup, 'samples' | 'precision'>,
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
  const Values = floatsOf(precision);
  const pad = (values: Floats, size: number, rest: number): Floats => {
    if (values.length === size && values instanceof Values) return values;
    const all = new Values(size).fill(rest, values.length);
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

function meanOf(values: Uint8Array | Float32Array, count: number, dimension: number): Float64Array {
  const mean = new Float64Array(dimension);
  for (let i = 0; i < count * dimension; i++) mean[i % dimension] += values[i] / count;
  return mean;
}

/** The posterior from its sums, in float64, for the samples that there are. */
function finish(
  sums: Readonly<Record<string, Floats>>,
  centre: Floats,
  { clean, sigma }: PerturbedSamples,
  wanted: (posterior: Posterior) => Tensor[],
): Float64Array[] {
  const samples = sigma.length;
  const rows = (values: Floats, columns: number): Tensor =>
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

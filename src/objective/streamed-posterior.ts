import { ShapeError, UsageError } from '../errors.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { constant, evaluate, input } from '../graph/index.ts';
import type { TensorData } from '../graph/index.ts';
import type { Program, Runtime } from '../runtime/index.ts';
import { pixelOrigin } from './frame.ts';
import { emptySums, takeReferences } from './posterior-mean.ts';
import type { PosteriorSums } from './posterior-mean.ts';

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

/** Posterior over reference sets of any size, taken a block at a time in memory that does not grow with them. */
export interface StreamedPosterior {
  /**
   * @param perturbed   at most as many samples as the posterior was compiled for
   * @param references  positions in the data set, one by one or as a range; left out: the whole data set
   * @throws UsageError for more samples, no references, or positions outside the data set
   * @throws ShapeError when the values do not fit the number of samples
   */
  over(perturbed: PerturbedSamples, references?: ArrayLike<number> | PositionRange): Promise<PosteriorValues>;
  release(): Promise<void>;
}

const sumNames = ['largest', 'total', 'weighted', 'squaredDistances', 'squaredWeights'] as const;

/**
 * Compiles the streamed posterior over references from a data set. Bytes go to the engine as they are.
 *
 * @param samples  noisy samples at a time, S: each call takes the time of as many
 * @param block    references at a time: the memory is S · block weights and block · d values
 */
export async function compileStreamedPosterior(
  runtime: Runtime,
  dataset: Dataset,
  { samples, block }: { samples: number; block: number },
): Promise<StreamedPosterior> {
  const dimension = sampleSize(dataset);
  const start = emptySums(samples, dimension);
  const before = Object.fromEntries(
    sumNames.map((name) => [name, input(name, start[name].shape)]),
  ) as unknown as PosteriorSums;
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
    state: Object.fromEntries(sumNames.map((name) => [name, { current: before[name], next: after[name] }])),
  });
  const values = evaluate(sumNames.map((name) => start[name]));
  const empty = Object.fromEntries(
    sumNames.map((name, i) => [
      name,
      { shape: values[i].shape, dtype: 'float32' as const, data: Float32Array.from(values[i].data) },
    ]),
  );
  const setup = { program, dataset, empty, samples, block };
  return {
    over: (perturbed, references) => stream(runtime, setup, perturbed, references),
    release: () => program.release(),
  };
}

/** Labels of places that hold no reference and of places that hold no sample: they match nothing. */
const noReference = -2n;
const noSample = -3n;

/** References whose mean is the centre of all. */
const rowsForCentre = 64;

interface Setup {
  readonly program: Program;
  readonly dataset: Dataset;
  /** The sums over no references. */
  readonly empty: Parameters<Runtime['createState']>[0];
  readonly samples: number;
  readonly block: number;
}

async function stream(
  runtime: Runtime,
  setup: Setup,
  perturbed: PerturbedSamples,
  references: ArrayLike<number> | PositionRange = { start: 0, end: setup.dataset.length },
): Promise<PosteriorValues> {
  const { program, dataset, empty, block } = setup;
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
    referenceLabels.fill(noReference, count);
    // Any point amid the data does. For pixels it is the middle of their range, which the program knows.
    centre ??= isBytes
      ? new Float32Array(dimension).fill(pixelOrigin)
      : meanOf(values, Math.min(count, rowsForCentre), dimension);
    await program.run({ ...padded, reference: values, referenceLabels, ...(!isBytes && { centre }) }, state);
  }
  const [, total, weighted, squaredDistances, squaredWeights] = (await Promise.all(
    sumNames.map((name) => state.read(name)),
  )) as Float32Array[];
  return finish({ total, weighted, squaredDistances, squaredWeights }, centre!, perturbed);
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

/** The same as `finishPosterior`, in float64, for the samples that there are. */
function finish(
  sums: Record<'total' | 'weighted' | 'squaredDistances' | 'squaredWeights', Float32Array>,
  centre: Float32Array,
  { clean, sigma }: PerturbedSamples,
): PosteriorValues {
  const samples = sigma.length;
  const dimension = centre.length;
  const mean = new Float64Array(samples * dimension);
  const variance = new Float64Array(samples);
  const effectiveSources = new Float64Array(samples);
  for (let s = 0; s < samples; s++) {
    let fromSource = 0;
    for (let k = 0; k < dimension; k++) {
      const at = s * dimension + k;
      mean[at] = sums.weighted[at] / sums.total[s] + centre[k];
      fromSource += (mean[at] - clean[at]) ** 2;
    }
    variance[s] = Math.max(sums.squaredDistances[s] / sums.total[s] - fromSource, 0);
    effectiveSources[s] = sums.total[s] ** 2 / sums.squaredWeights[s];
  }
  return { mean, variance, effectiveSources };
}

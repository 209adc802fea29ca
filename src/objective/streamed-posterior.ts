import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { evaluate, input } from '../graph/index.ts';
import type { TensorData } from '../graph/index.ts';
import { emptySums, takeReferences } from './posterior-mean.ts';
import type { PosteriorSums } from './posterior-mean.ts';
import type { Program, Runtime } from '../runtime/index.ts';

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

/** Posterior over reference sets of any size, taken a block at a time in memory that does not grow with them. */
export interface StreamedPosterior {
  /**
   * @param samples     as many as the posterior was compiled for
   * @param references  positions in the data set
   */
  over(samples: PerturbedSamples, references: ArrayLike<number>): Promise<PosteriorValues>;
  /** The posterior over the whole data set. */
  overAll(samples: PerturbedSamples): Promise<PosteriorValues>;
  release(): Promise<void>;
}

const sumNames = ['largest', 'total', 'weighted', 'squaredDistances', 'squaredWeights'] as const;

/**
 * Compiles the streamed posterior over references from a data set.
 *
 * @param samples  noisy samples at a time, S
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
    input('reference', [block, dimension]),
    input('centre', [1, dimension]),
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
  const setup = { program, dataset, empty, block };
  return {
    over: (perturbed, references) => stream(runtime, setup, perturbed, references),
    overAll: async (perturbed) => {
      const count = perturbed.sigma.length;
      const padded = {
        clean: new Float32Array(samples * dimension),
        noise: new Float32Array(samples * dimension),
        sigma: new Float32Array(samples).fill(1),
        ...(perturbed.labels && { labels: Array.from({ length: samples }, (_, i) => perturbed.labels![i] ?? 0) }),
      };
      padded.clean.set(perturbed.clean);
      padded.noise.set(perturbed.noise);
      padded.sigma.set(perturbed.sigma);
      const every = Uint32Array.from({ length: dataset.length }, (_, i) => i);
      const all = await stream(runtime, setup, padded, every);
      return {
        mean: all.mean.slice(0, count * dimension),
        variance: all.variance.slice(0, count),
        effectiveSources: all.effectiveSources.slice(0, count),
      };
    },
    release: () => program.release(),
  };
}

/** Label of places in the last block that hold no reference: it matches no sample. */
const nobody = -2n;

interface Setup {
  readonly program: Program;
  readonly dataset: Dataset;
  /** The sums over no references. */
  readonly empty: Parameters<Runtime['createState']>[0];
  readonly block: number;
}

async function stream(
  runtime: Runtime,
  { program, dataset, empty, block }: Setup,
  { clean, noise, sigma, labels }: PerturbedSamples,
  references: ArrayLike<number>,
): Promise<PosteriorValues> {
  const samples = sigma.length;
  const dimension = sampleSize(dataset);
  const state = runtime.createState(empty);
  const sourceLabels = BigInt64Array.from({ length: samples }, (_, i) => BigInt(labels ? labels[i] : 0));
  const values = new Float32Array(block * dimension);
  let centre: Float32Array | undefined;
  for (let at = 0; at < references.length; at += block) {
    const count = Math.min(block, references.length - at);
    const referenceLabels = new BigInt64Array(block).fill(nobody);
    for (let i = 0; i < count; i++) {
      const index = references[at + i];
      dataset.read(index, values, i * dimension);
      referenceLabels[i] = BigInt(labels ? dataset.label(index) : 0);
    }
    // Any point amid the data does: the mean of the first block.
    centre ??= meanOf(values, count, dimension);
    const feeds: Record<string, TensorData> = {
      clean,
      noise,
      sigma,
      reference: values,
      centre,
      sourceLabels,
      referenceLabels,
    };
    await program.run(feeds, state);
  }
  const [, total, weighted, squaredDistances, squaredWeights] = (await Promise.all(
    sumNames.map((name) => state.read(name)),
  )) as Float32Array[];
  return finish({ total, weighted, squaredDistances, squaredWeights }, centre ?? new Float32Array(dimension), clean);
}

function meanOf(values: Float32Array, count: number, dimension: number): Float32Array {
  const mean = new Float64Array(dimension);
  for (let i = 0; i < count * dimension; i++) mean[i % dimension] += values[i] / count;
  return Float32Array.from(mean);
}

/** The same as `finishPosterior`, in float64. */
function finish(
  sums: Record<'total' | 'weighted' | 'squaredDistances' | 'squaredWeights', Float32Array>,
  centre: Float32Array,
  clean: Float32Array,
): PosteriorValues {
  const samples = sums.total.length;
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

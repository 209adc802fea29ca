import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { input } from '../graph/index.ts';
import type { TensorData } from '../graph/index.ts';
import { emptySums, takeReferences } from '../objective/index.ts';
import type { PosteriorSums } from '../objective/index.ts';
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
  release(): Promise<void>;
}

const sumNames = ['largest', 'total', 'weighted', 'weightedSquares', 'squaredWeights'] as const;

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
  const size = { samples, block, dimension };
  return {
    over: (perturbed, references) => stream(runtime, program, dataset, size, perturbed, references),
    release: () => program.release(),
  };
}

/** Label of places in the last block that hold no reference: it matches no sample. */
const nobody = -2n;

async function stream(
  runtime: Runtime,
  program: Program,
  dataset: Dataset,
  { samples, block, dimension }: { samples: number; block: number; dimension: number },
  { clean, noise, sigma, labels }: PerturbedSamples,
  references: ArrayLike<number>,
): Promise<PosteriorValues> {
  const empty = { largest: -1e30, total: 0, weighted: 0, weightedSquares: 0, squaredWeights: 0 };
  const length = (name: (typeof sumNames)[number]): number => (name === 'weighted' ? samples * dimension : samples);
  const state = runtime.createState(
    Object.fromEntries(
      sumNames.map((name) => {
        const shape = [samples, length(name) / samples];
        return [name, { shape, dtype: 'float32' as const, data: new Float32Array(length(name)).fill(empty[name]) }];
      }),
    ),
  );
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
  const [, total, weighted, weightedSquares, squaredWeights] = (await Promise.all(
    sumNames.map((name) => state.read(name)),
  )) as Float32Array[];
  return finish(
    { total, weighted, weightedSquares, squaredWeights },
    centre ?? new Float32Array(dimension),
    samples,
    dimension,
  );
}

function meanOf(values: Float32Array, count: number, dimension: number): Float32Array {
  const mean = new Float64Array(dimension);
  for (let i = 0; i < count * dimension; i++) mean[i % dimension] += values[i] / count;
  return Float32Array.from(mean);
}

/** The same as `finishPosterior`, in float64. */
function finish(
  sums: Record<'total' | 'weighted' | 'weightedSquares' | 'squaredWeights', Float32Array>,
  centre: Float32Array,
  samples: number,
  dimension: number,
): PosteriorValues {
  const mean = new Float64Array(samples * dimension);
  const variance = new Float64Array(samples);
  const effectiveSources = new Float64Array(samples);
  for (let s = 0; s < samples; s++) {
    let squaredMean = 0;
    for (let k = 0; k < dimension; k++) {
      const centred = sums.weighted[s * dimension + k] / sums.total[s];
      squaredMean += centred * centred;
      mean[s * dimension + k] = centred + centre[k];
    }
    variance[s] = Math.max(sums.weightedSquares[s] / sums.total[s] - squaredMean, 0);
    effectiveSources[s] = sums.total[s] ** 2 / sums.squaredWeights[s];
  }
  return { mean, variance, effectiveSources };
}

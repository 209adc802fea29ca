import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { cast, input, matmul } from '../graph/index.ts';
import type { Runtime } from '../runtime/index.ts';

/** Weighted sums of rows of a data set: Σ_j w_sj y_j for weights [S, n] and n rows. */
export interface WeightedSum {
  /** @returns [S, d] */
  of(weights: Float64Array, rows: ArrayLike<number>): Promise<Float64Array>;
  release(): Promise<void>;
}

/** Weighted sums by the engine, in float32. @param block  rows taken at a time */
export async function engineSum(
  runtime: Runtime,
  dataset: Dataset,
  { samples, block }: { samples: number; block: number },
): Promise<WeightedSum> {
  const dimension = sampleSize(dataset);
  const isBytes = dataset.dtype === 'uint8';
  const rows = input('rows', [block, dimension], dataset.dtype);
  const program = await runtime.compile({
    name: 'weighted sum',
    outputs: { sum: matmul(input('weights', [samples, block]), isBytes ? cast(rows, 'float32') : rows) },
  });
  const values = isBytes ? new Uint8Array(block * dimension) : new Float32Array(block * dimension);
  const padded = new Float32Array(samples * block);
  return {
    of: async (weights, chosen) => {
      const count = weights.length / chosen.length;
      const result = new Float64Array(count * dimension);
      for (let at = 0; at < chosen.length; at += block) {
        const length = Math.min(block, chosen.length - at);
        padded.fill(0);
        for (let s = 0; s < count; s++)
          for (let j = 0; j < length; j++) padded[s * block + j] = weights[s * chosen.length + at + j];
        for (let j = 0; j < length; j++) dataset.read(chosen[at + j], values, j * dimension);
        const { sum } = await program.run({ weights: padded, rows: values });
        for (let s = 0; s < count; s++) {
          let total = 0;
          for (let j = 0; j < length; j++) total += padded[s * block + j];
          for (let i = s * dimension; i < (s + 1) * dimension; i++)
            result[i] += isBytes ? Number(sum[i]) / 127.5 - total : Number(sum[i]);
        }
      }
      return result;
    },
    release: () => program.release(),
  };
}

/** Weighted sums in plain float64: slow and exact. */
export function float64Sum(dataset: Dataset): WeightedSum {
  const dimension = sampleSize(dataset);
  const row = new Float64Array(dimension);
  return {
    of: (weights, chosen) => {
      const count = weights.length / chosen.length;
      const result = new Float64Array(count * dimension);
      for (let j = 0; j < chosen.length; j++) {
        readExactly(dataset, chosen[j], row);
        for (let s = 0; s < count; s++) {
          const weight = weights[s * chosen.length + j];
          if (weight === 0) continue;
          const at = s * dimension;
          for (let i = 0; i < dimension; i++) result[at + i] += weight * row[i];
        }
      }
      return Promise.resolve(result);
    },
    release: () => Promise.resolve(),
  };
}

/** Copies a sample in float64: a pixel u is u / 127.5 - 1 without rounding to float32. */
export function readExactly(dataset: Dataset, index: number, out: Float64Array): void {
  const stored = dataset.dtype === 'uint8' ? new Uint8Array(out.length) : new Float32Array(out.length);
  dataset.read(index, stored, 0);
  for (let i = 0; i < out.length; i++) out[i] = dataset.dtype === 'uint8' ? stored[i] / 127.5 - 1 : stored[i];
}

/** References drawn for S noisy samples. */
export interface NestedDraw {
  /** Each sample's own first reference: its log-weight [S] and value [S, d]. */
  readonly first: { readonly logWeights: ArrayLike<number>; readonly values: Float64Array };
  /** References that the samples share, as rows of the data set [n]; the first takes part only where `first` does not. */
  readonly rows: ArrayLike<number>;
  /** Log-weight of a row for a sample, up to a constant of the sample. */
  readonly logWeight: (sample: number, row: number) => number;
}

/** Stable targets over the first n references, for one n. */
export interface TargetsOfSize {
  /** Targets [S, d]. */
  readonly targets: Float64Array;
  /** Effective number of references 1 / Σ v² [S]. */
  readonly effective: Float64Array;
}

/**
 * Stable targets Σ v_j y_j, v the self-normalised weights, over reference batches of growing size that share their draws.
 * With the source: the sample's own first reference and the shared rows 1 … n-1. Without: the shared rows 0 … n-1.
 *
 * @param sizes  n, rising from at least 1 up to the number of rows
 */
export async function nestedTargets(
  sum: WeightedSum,
  { first, rows, logWeight }: NestedDraw,
  sizes: readonly number[],
): Promise<{ withSource: TargetsOfSize[]; withoutSource: TargetsOfSize[] }> {
  const count = first.logWeights.length;
  const dimension = first.values.length / count;
  const segment = async (from: number, to: number): Promise<Sums> => {
    const chosen = Array.from({ length: to - from }, (_, j) => rows[from + j]);
    const weights = new Float64Array(count * chosen.length);
    const sums = emptySums(count, 0);
    for (let s = 0; s < count; s++) {
      const start = s * chosen.length;
      chosen.forEach((row, j) => {
        weights[start + j] = logWeight(s, row);
        sums.largest[s] = Math.max(sums.largest[s], weights[start + j]);
      });
      for (let k = start; k < start + chosen.length; k++) {
        weights[k] = Math.exp(weights[k] - sums.largest[s]);
        sums.total[s] += weights[k];
        sums.squares[s] += weights[k] ** 2;
      }
    }
    return { ...sums, weighted: await sum.of(weights, chosen) };
  };
  const withSource: Sums = {
    largest: Float64Array.from(first.logWeights),
    total: new Float64Array(count).fill(1),
    squares: new Float64Array(count).fill(1),
    weighted: first.values.slice(),
  };
  const withoutSource = await segment(0, 1);
  const results: { withSource: TargetsOfSize[]; withoutSource: TargetsOfSize[] } = {
    withSource: [],
    withoutSource: [],
  };
  let done = 1;
  for (const size of sizes) {
    if (size > done) {
      const more = await segment(done, size);
      merge(withSource, more, dimension);
      merge(withoutSource, more, dimension);
      done = size;
    }
    results.withSource.push(finish(withSource, dimension));
    results.withoutSource.push(finish(withoutSource, dimension));
  }
  return results;
}

/** Sums of weights relative to the largest log-weight, as the streaming log-sum-exp keeps them. */
interface Sums {
  readonly largest: Float64Array;
  readonly total: Float64Array;
  readonly squares: Float64Array;
  readonly weighted: Float64Array;
}

const emptySums = (count: number, values: number): Sums => ({
  largest: new Float64Array(count).fill(-Infinity),
  total: new Float64Array(count),
  squares: new Float64Array(count),
  weighted: new Float64Array(values),
});

function merge(into: Sums, more: Sums, dimension: number): void {
  for (let s = 0; s < into.total.length; s++) {
    const largest = Math.max(into.largest[s], more.largest[s]);
    const [a, b] = [Math.exp(into.largest[s] - largest), Math.exp(more.largest[s] - largest)];
    into.largest[s] = largest;
    into.total[s] = a * into.total[s] + b * more.total[s];
    into.squares[s] = a * a * into.squares[s] + b * b * more.squares[s];
    for (let i = s * dimension; i < (s + 1) * dimension; i++)
      into.weighted[i] = a * into.weighted[i] + b * more.weighted[i];
  }
}

const finish = ({ total, squares, weighted }: Sums, dimension: number): TargetsOfSize => ({
  targets: weighted.map((value, i) => value / total[Math.floor(i / dimension)]),
  effective: total.map((each, s) => each ** 2 / squares[s]),
});

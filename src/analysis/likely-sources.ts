import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { compileDetailedPosterior } from '../objective/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { drawNoisySamples } from './noisy-samples.ts';
import { posteriorWeights } from './posterior-measures.ts';

/** A noisy sample and the sources that explain it best. */
export interface LikelySources {
  readonly sigma: number;
  /** Row of the data set that it was made from. */
  readonly source: number;
  /** The noisy sample x₀ + σ z, [d]. */
  readonly noisy: Float32Array;
  /** Posterior mean, which is the exact target [d]. */
  readonly mean: Float64Array;
  /** Rows of the data set with their posterior weights, the likeliest first. */
  readonly likely: readonly { readonly row: number; readonly weight: number }[];
}

/** One noisy sample a level, all from the same source, with its `count` most likely sources. */
export async function likelySources(
  runtime: Runtime,
  dataset: Dataset,
  { sigmas, count, seed }: { sigmas: readonly number[]; count: number; seed: number },
): Promise<LikelySources[]> {
  const size = sampleSize(dataset);
  const { clean, noise, sources } = drawNoisySamples(dataset, { sigma: 1, level: 0, count: 1, seed });
  const block = Math.min(dataset.length, 2048);
  const posterior = await compileDetailedPosterior(runtime, dataset, { samples: sigmas.length, block });
  const repeated = (values: Float32Array | Float64Array): Float32Array =>
    Float32Array.from({ length: sigmas.length * size }, (_, i) => values[i % size]);
  const samples = { clean: repeated(clean), noise: repeated(noise), sigma: Float32Array.from(sigmas) };
  const { mean, logWeights } = await posterior.over(samples);
  await posterior.release();
  return sigmas.map((sigma, s) => {
    const weights = posteriorWeights(logWeights.subarray(s * dataset.length, (s + 1) * dataset.length));
    const order = Uint32Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
    return {
      sigma,
      source: sources[0],
      noisy: Float32Array.from({ length: size }, (_, i) => clean[i] + sigma * noise[i]),
      mean: mean.subarray(s * size, (s + 1) * size),
      likely: Array.from(order.subarray(0, count), (row) => ({ row, weight: weights[row] })),
    };
  });
}

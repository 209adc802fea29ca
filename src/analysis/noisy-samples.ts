import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { fillNormal, fillUniform, streams } from '../numerics/random.ts';
import type { PerturbedSamples } from '../objective/index.ts';

/** Noisy samples of one noise level, and where they come from. */
export interface DrawnSamples extends PerturbedSamples {
  /** Rows of the data set [S]. */
  readonly sources: Uint32Array;
}

/**
 * Draws noisy samples x = source + σ z of one noise level, sources uniformly with replacement. A sample is a function of
 * the seed, the level's number and its own: more samples or levels do not change the others.
 *
 * @param level  number of the noise level among those that are analysed
 */
export function drawNoisySamples(
  dataset: Dataset,
  { sigma, level, count, seed }: { sigma: number; level: number; count: number; seed: number },
): DrawnSamples {
  const size = sampleSize(dataset);
  const chosen = new Float64Array(count);
  // Normal numbers of sample s have address (level, s); sources that of a sample no run has.
  fillUniform(chosen, { seed, stream: streams.probeOrder, step: level, sample: 0 });
  const sources = Uint32Array.from(chosen, (u) => Math.floor(u * dataset.length));
  const clean = new Float32Array(count * size);
  const noise = new Float32Array(count * size);
  for (let s = 0; s < count; s++) {
    dataset.read(sources[s], clean, s * size);
    fillNormal(noise.subarray(s * size, (s + 1) * size), { seed, stream: streams.evaluation, step: level, sample: s });
  }
  return { clean, noise, sigma: new Float32Array(count).fill(sigma), sources };
}

import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { compileStreamedPosterior } from '../objective/index.ts';
import type { PerturbedSamples } from '../objective/index.ts';
import type { Runtime } from '../runtime/index.ts';

/** Noisy samples with the references that their stable targets are made of. */
export interface TargetProbe {
  readonly samples: PerturbedSamples;
  /**
   * Positions in the data set of the reference batch, out of the population; the sources of the samples come first, in
   * their order.
   */
  readonly references: ArrayLike<number>;
}

/** For each sample, in squared data units summed over elements (denoiser form; divide by σ⁴ for the score). */
export interface TargetVariances {
  /** Variance of the DSM target given the noisy sample: the trace of the posterior covariance. */
  readonly dsm: Float64Array;
  /** Squared distance of the stable target from the exact posterior mean; its mean is the stable target's variance. */
  readonly stf: Float64Array;
  /** Effective number of sources in the population. */
  readonly effectiveSources: Float64Array;
}

export interface TargetVarianceMeter {
  measure(probe: TargetProbe): Promise<TargetVariances>;
  release(): Promise<void>;
}

/**
 * Measures how much training targets vary, against the exact posterior over the data set.
 *
 * The stable target is, given x, an unbiased draw around the exact posterior mean E[clean | x] (Xu et al. 2023; see
 * `stableTarget`), so its squared distance from there is an unbiased estimate of the trace of its covariance.
 *
 * @param samples     noisy samples at a time
 * @param population  positions in the data set that the exact posterior runs over: all of them, or for a very large set
 *   a random subset that sources and references are then drawn from too
 */
export async function targetVarianceMeter(
  runtime: Runtime,
  dataset: Dataset,
  { samples, population }: { samples: number; population: ArrayLike<number> },
): Promise<TargetVarianceMeter> {
  const dimension = sampleSize(dataset);
  const block = Math.min(population.length, 2048);
  const posterior = await compileStreamedPosterior(runtime, dataset, { samples, block });
  return {
    measure: async ({ samples: perturbed, references }) => {
      const exact = await posterior.over(perturbed, population);
      const stable = await posterior.over(perturbed, references);
      const stf = exact.variance.map((_, s) => {
        let distance = 0;
        for (let k = s * dimension; k < (s + 1) * dimension; k++) distance += (stable.mean[k] - exact.mean[k]) ** 2;
        return distance;
      });
      return { dsm: exact.variance, stf, effectiveSources: exact.effectiveSources };
    },
    release: () => posterior.release(),
  };
}

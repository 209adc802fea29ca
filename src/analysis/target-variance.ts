import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { compileStreamedPosterior, compileTargets } from '../objective/index.ts';
import type { PerturbedSamples, ReferenceDraw, ReferenceSizes } from '../objective/index.ts';
import type { Runtime } from '../runtime/index.ts';

/** Noisy samples with the references that their stable targets are made of. */
export interface TargetProbe {
  readonly samples: PerturbedSamples;
  readonly draw: ReferenceDraw;
}

/** For each sample, in squared data units summed over elements (denoiser form; divide by σ⁴ for the score). */
export interface TargetVariances {
  /** Variance of the DSM target given the noisy sample: the trace of the posterior covariance. */
  readonly dsm: Float64Array;
  /** Squared distance of the stable target from the exact posterior mean; its mean is the stable target's variance. */
  readonly stf: Float64Array;
  /** Effective number of sources in the data set. */
  readonly effectiveSources: Float64Array;
}

export interface TargetVarianceMeter {
  measure(probe: TargetProbe): Promise<TargetVariances>;
  release(): Promise<void>;
}

/**
 * Measures how much training targets vary, against the exact posterior over a data set.
 *
 * The stable target is, given x, an unbiased draw around the exact posterior mean E[clean | x] (Xu et al. 2023; see
 * `stableTarget`), so its squared distance from there is an unbiased estimate of the trace of its covariance. Where a
 * source of references is biased, the square of the bias is in it too.
 *
 * @param dataset  what the exact posterior runs over, and what sources and references are drawn from
 * @param samples  noisy samples at a time
 * @param sizes    references of a draw; without shared ones the stable target is taken to be the exact one
 */
export async function targetVarianceMeter(
  runtime: Runtime,
  dataset: Dataset,
  { samples, sizes }: { samples: number; sizes: ReferenceSizes },
): Promise<TargetVarianceMeter> {
  const dimension = sampleSize(dataset);
  const block = Math.min(dataset.length, 2048);
  const posterior = await compileStreamedPosterior(runtime, dataset, { samples, block });
  const targets = sizes.shared > 0 ? await compileTargets(runtime, dataset, { samples, sizes }) : undefined;
  return {
    measure: async ({ samples: perturbed, draw }) => {
      const exact = await posterior.over(perturbed);
      const stable = await targets?.of(perturbed, draw);
      const stf = exact.variance.map((_, s) => {
        let distance = 0;
        if (stable)
          for (let k = s * dimension; k < (s + 1) * dimension; k++) distance += (stable[k] - exact.mean[k]) ** 2;
        return distance;
      });
      return { dsm: exact.variance, stf, effectiveSources: exact.effectiveSources };
    },
    release: async () => {
      await posterior.release();
      await targets?.release();
    },
  };
}

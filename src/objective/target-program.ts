import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { input } from '../graph/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { referenceTarget } from './reference-target.ts';
import type { ReferenceDraw, ReferenceSizes } from './references/index.ts';
import type { PerturbedSamples } from './streamed-posterior.ts';

/** Stable targets by themselves, outside of a training step. */
export interface TargetProgram {
  /**
   * @param samples  noisy samples of the draw's mini-batch
   * @param draw     rows of the data set
   * @returns        stable targets [S, d]
   */
  of(samples: PerturbedSamples, draw: ReferenceDraw): Promise<Float32Array>;
  release(): Promise<void>;
}

/**
 * Compiles stable targets over references from a data set.
 *
 * @param samples  samples in a mini-batch, S
 * @param sizes    references of a draw; at least one shared
 */
export async function compileTargets(
  runtime: Runtime,
  dataset: Dataset,
  { samples, sizes }: { samples: number; sizes: ReferenceSizes },
): Promise<TargetProgram> {
  const dimension = sampleSize(dataset);
  const { shared, own } = sizes;
  const perturbation = {
    clean: input('clean', [samples, dimension]),
    noise: input('noise', [samples, dimension]),
    sigma: input('sigma', [samples]),
  };
  const target = referenceTarget(perturbation, {
    shared: input('shared', [shared, dimension], dataset.dtype),
    ...(own > 0
      ? {
          own: {
            references: input('own', [samples, own, dimension]),
            sharedCounts: input('sharedCounts', [samples, shared], 'bool'),
            sharedLogWeight: input('sharedLogWeight', [samples]),
          },
        }
      : {
          labels: {
            source: input('batchGroups', [samples], 'int64'),
            reference: input('sharedGroups', [shared], 'int64'),
          },
        }),
  });
  const program = await runtime.compile({ name: 'stable targets', outputs: { target } });
  const read = <T extends Uint8Array | Float32Array>(rows: Uint32Array, values: T): T => {
    rows.forEach((row, i) => dataset.read(row, values, i * dimension));
    return values;
  };
  const stored = (rows: Uint32Array): Uint8Array | Float32Array => {
    const length = rows.length * dimension;
    return read(rows, dataset.dtype === 'uint8' ? new Uint8Array(length) : new Float32Array(length));
  };
  return {
    of: async ({ clean, noise, sigma }, draw) => {
      const counting = draw.own
        ? {
            own: read(draw.own.rows, new Float32Array(draw.own.rows.length * dimension)),
            sharedCounts: draw.own.sharedCounts,
            sharedLogWeight: draw.own.sharedLogWeight,
          }
        : { batchGroups: draw.batchGroups, sharedGroups: draw.sharedGroups };
      const result = await program.run({ clean, noise, sigma, shared: stored(draw.shared), ...counting });
      return result.target as Float32Array;
    },
    release: () => program.release(),
  };
}

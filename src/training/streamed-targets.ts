import { inverseOrientation, orient } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { imageToFloat } from '../data/pixels.ts';
import { passes, restrictsClass } from '../objective/index.ts';
import type { StreamedMean } from '../objective/index.ts';
import { orientationOf } from './augmented-batch.ts';
import type { AugmentedBatch } from './augmented-batch.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './round.ts';

/**
 * Rounds with posterior means over the whole data set as targets. Samples whose noise level is outside the gate keep the
 * clean one; the others are worked out as many at a time as fit, whatever round they are in.
 */
export async function withTargets(
  rounds: readonly RoundData[],
  means: StreamedMean,
  samplesAtATime: number,
  batch: Uint32Array,
  dataset: Dataset,
  { objective, denoiser }: TrainingOptions,
  augmented: AugmentedBatch | undefined,
): Promise<RoundData[]> {
  const size = sampleSize(dataset);
  const gate = objective.kind === 'stf' ? objective.gate : null;
  const isRestricted = restrictsClass(objective, denoiser.network.labelDim);
  const targeted = rounds.map((round) => ({
    ...round,
    target: round.clean instanceof Uint8Array ? imageToFloat(round.clean) : round.clean.slice(),
  }));
  const samples = targeted.flatMap(({ target, noise, sigma }) =>
    Array.from(sigma, (level, i) => {
      const of = (values: Float32Array): Float32Array => values.subarray(i * size, (i + 1) * size);
      return { target: of(target), noise: of(noise), sigma: level };
    }),
  );
  // Augmented samples are turned upright, to lie as the data do. What was done to them beside leaves them no references.
  const inside = Array.from(samples.keys()).filter(
    (sample) => passes(gate, samples[sample].sigma) && augmented?.isAlone[sample] !== 1,
  );
  const turned = (values: Float32Array, sample: number, isBack: boolean): Float32Array => {
    if (!augmented) return values;
    const orientation = orientationOf(augmented, sample);
    const result = new Float32Array(size);
    orient(values, result, dataset.sampleShape, isBack ? orientation : inverseOrientation(orientation));
    return result;
  };
  for (let first = 0; first < inside.length; first += samplesAtATime) {
    const chosen = inside.slice(first, first + samplesAtATime);
    const joined = (name: 'target' | 'noise'): Float32Array => {
      const all = new Float32Array(chosen.length * size);
      chosen.forEach((sample, i) => all.set(turned(samples[sample][name], sample, false), i * size));
      return all;
    };
    const found = await means.over({
      clean: joined('target'),
      noise: joined('noise'),
      sigma: Float32Array.from(chosen, (sample) => samples[sample].sigma),
      ...(isRestricted && { labels: chosen.map((sample) => dataset.label(batch[sample])) }),
    });
    chosen.forEach((sample, i) => {
      samples[sample].target.set(turned(Float32Array.from(found.subarray(i * size, (i + 1) * size)), sample, true));
    });
  }
  return targeted;
}

import { isReoriented, makeAugmenter } from '../data/augmentation/index.ts';
import type { AugmentationConfig, Orientation, SampleAugmentation } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import type { RoundData } from './round.ts';

/** The samples of a step after augmentation. */
export interface AugmentedBatch {
  /** [B, ...sampleShape], values */
  readonly clean: Float32Array;
  readonly samples: readonly SampleAugmentation[];
}

/**
 * Augments samples of a step, given by their rows: each as (seed, step, its place in the step) say. The first of them is
 * sample number `first` of the step.
 *
 * @throws UsageError when the augmentation is not for samples of the data set
 */
export function batchAugmenter(
  dataset: Dataset,
  config: AugmentationConfig,
  seed: number,
): (rows: Uint32Array, step: number, first?: number) => AugmentedBatch {
  const augmenter = makeAugmenter(config, dataset.sampleShape);
  const size = sampleSize(dataset);
  const image = new Float32Array(size);
  return (rows, step, first = 0) => {
    const clean = new Float32Array(rows.length * size);
    const samples = Array.from(rows, (row, i) => {
      const what = augmenter.draw({ seed, step, sample: first + i });
      dataset.read(row, image, 0);
      augmenter.apply(what, image, clean.subarray(i * size, (i + 1) * size));
      return what;
    });
    return { clean, samples };
  };
}

/** What a round is told of its samples, `first` to `first + count - 1` of the step. */
export function augmentedRound(
  { clean, samples }: AugmentedBatch,
  first: number,
  count: number,
): Pick<RoundData, 'clean' | 'augmentLabels' | 'flipX' | 'flipY' | 'transpose' | 'isAlone'> {
  const size = clean.length / samples.length;
  const own = samples.slice(first, first + count);
  const labelDim = own[0].labels.length;
  const augmentLabels = new Float32Array(count * labelDim);
  own.forEach(({ labels }, i) => augmentLabels.set(labels, i * labelDim));
  const flags = (of: (sample: SampleAugmentation) => boolean): Uint8Array =>
    Uint8Array.from(own, (each) => Number(of(each)));
  const lies = (side: keyof Orientation): Uint8Array => flags(({ orientation }) => orientation[side]);
  return {
    clean: clean.subarray(first * size, (first + count) * size),
    augmentLabels,
    flipX: lies('flipX'),
    flipY: lies('flipY'),
    transpose: lies('transpose'),
    isAlone: flags((each) => !isReoriented(each)),
  };
}

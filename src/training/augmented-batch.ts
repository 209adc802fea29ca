import { isReoriented, makeAugmenter } from '../data/augmentation/index.ts';
import type { AugmentationConfig, Orientation, SampleAugmentation } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import type { RoundData } from './round.ts';

/** Samples of a step after augmentation, column by column as a round takes them. */
export interface AugmentedBatch {
  /** [B, ...sampleShape], values */
  readonly clean: Float32Array;
  /** What the network is told [B, labelDim]. */
  readonly augmentLabels: Float32Array;
  /** How each sample lies, and whether anything else was done to it [B]; 1 is true. */
  readonly flipX: Uint8Array;
  readonly flipY: Uint8Array;
  readonly transpose: Uint8Array;
  readonly isAlone: Uint8Array;
}

/**
 * Augments samples of a step, given by their rows: each as (seed, step, its place in the step) say. The first of them is
 * sample number `first` of the step.
 *
 * @throws UsageError when the augmentation is not for samples of the data set
 */
export function batchAugmenter(
  dataset: Pick<Dataset, 'sampleShape' | 'read'>,
  config: AugmentationConfig,
  seed: number,
): (rows: Uint32Array, step: number, first: number) => AugmentedBatch {
  const augmenter = makeAugmenter(config, dataset.sampleShape);
  const { labelDim } = augmenter;
  const size = sampleSize(dataset);
  const image = new Float32Array(size);
  return (rows, step, first) => {
    const clean = new Float32Array(rows.length * size);
    const augmentLabels = new Float32Array(rows.length * labelDim);
    const samples = Array.from(rows, (row, i) => {
      const what = augmenter.draw({ seed, step, sample: first + i });
      dataset.read(row, image, 0);
      augmenter.apply(what, image, clean.subarray(i * size, (i + 1) * size));
      augmentLabels.set(what.labels, i * labelDim);
      return what;
    });
    const flags = (of: (sample: SampleAugmentation) => boolean): Uint8Array =>
      Uint8Array.from(samples, (each) => Number(of(each)));
    const lies = (side: keyof Orientation): Uint8Array => flags(({ orientation }) => orientation[side]);
    return {
      clean,
      augmentLabels,
      flipX: lies('flipX'),
      flipY: lies('flipY'),
      transpose: lies('transpose'),
      isAlone: flags((each) => !isReoriented(each)),
    };
  };
}

/** How a sample lies. */
export const orientationOf = ({ flipX, flipY, transpose }: AugmentedBatch, sample: number): Orientation => ({
  flipX: flipX[sample] === 1,
  flipY: flipY[sample] === 1,
  transpose: transpose[sample] === 1,
});

/** What a round is told of its samples, `first` to `first + count - 1` of those that were augmented. */
export function augmentedRound(
  { augmentLabels, ...flags }: AugmentedBatch,
  first: number,
  count: number,
): Pick<RoundData, 'augmentLabels' | 'flipX' | 'flipY' | 'transpose' | 'isAlone'> {
  const part = (flag: Uint8Array): Uint8Array => flag.subarray(first, first + count);
  const labelDim = augmentLabels.length / flags.flipX.length;
  return {
    augmentLabels: augmentLabels.subarray(first * labelDim, (first + count) * labelDim),
    flipX: part(flags.flipX),
    flipY: part(flags.flipY),
    transpose: part(flags.transpose),
    isAlone: part(flags.isAlone),
  };
}

import { ShapeError } from '../../errors.ts';
import { mapColours } from './colour.ts';
import { augmentationLabelDim, checkAugmentation } from './config.ts';
import type { AugmentationConfig } from './config.ts';
import { augmentationDraws } from './draws.ts';
import { isUpright, orient, shift } from './orientation.ts';
import { augmentationOf } from './parameters.ts';
import type { SampleAugmentation } from './parameters.ts';
import { makeResampler } from './resample.ts';
import type { Margins } from './resample.ts';

/** Augments images of one shape. */
export interface Augmenter {
  /** Length of the label that tells a network what was done. */
  readonly labelDim: number;
  /** What is done to a sample of a training step: a function of nothing else, whatever the size of batch and rounds. */
  draw(address: { seed: number; step: number; sample: number }): SampleAugmentation;
  /**
   * Does it, and leaves values outside [-1, 1] as they come.
   *
   * @param image    [channels, height, width], left unchanged
   * @param out      receives the same number of values; must not overlap with `image`
   * @param margins  mirrored pixels that a geometric transform may look at, when not as many as it needs itself
   * @throws ShapeError when `image` or `out` has another length
   */
  apply(what: SampleAugmentation, image: Float32Array, out: Float32Array, margins?: Margins): void;
}

/**
 * The non-leaking augmentation of Karras et al. 2022, appendix F.2: what is done is drawn for each image, and told to the
 * network, so that it can generate images that nothing was done to.
 *
 * @param sampleShape  [channels, height, width]
 * @throws UsageError  when the augmentation is not for such samples
 */
export function makeAugmenter(config: AugmentationConfig, sampleShape: readonly number[]): Augmenter {
  checkAugmentation(config, sampleShape);
  const [channels, height, width] = sampleShape;
  const size = channels * height * width;
  const resample = makeResampler(sampleShape);
  const steps = [new Float32Array(size), new Float32Array(size)];
  return {
    labelDim: augmentationLabelDim(config),
    draw: (address) => augmentationOf(config, sampleShape, augmentationDraws(address)),
    apply: (what, image, out, margins) => {
      if (image.length !== size || out.length !== size)
        throw new ShapeError(
          `augmentation: images of shape [${sampleShape.join(', ')}] have ${size} values, got ${image.length} and room for ${out.length}.`,
        );
      let from = image;
      const through = (move: (to: Float32Array) => void): void => {
        const to = from === steps[0] ? steps[1] : steps[0];
        move(to);
        from = to;
      };
      const { orientation, shift: by, inverse, colours } = what;
      if (!isUpright(orientation)) through((to) => orient(from, to, sampleShape, orientation));
      if (by) through((to) => shift(from, to, sampleShape, by));
      if (inverse) through((to) => resample(from, to, inverse, margins));
      out.set(from);
      if (colours) mapColours(out, channels, colours);
    },
  };
}

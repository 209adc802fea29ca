/** Augmentation of images that a network is told. */
export { makeAugmenter } from './augmenter.ts';
export type { Augmenter } from './augmenter.ts';
export {
  augmentationLabelDim,
  checkAugmentation,
  defaultStrengths,
  edmAugmentation,
  edmMultipliers,
  shareReoriented,
  transformNames,
  transformsOf,
} from './config.ts';
export type { AugmentationConfig, AugmentationStrengths, TransformName } from './config.ts';
export { drawCount, transformDraws } from './draws.ts';
export type { DrawKind, TransformDraws } from './draws.ts';
export { inverseOrientation, isUpright, orient } from './orientation.ts';
export type { Orientation } from './orientation.ts';
export { augmentationOf, isReoriented } from './parameters.ts';
export type { SampleAugmentation } from './parameters.ts';
export { marginsFor, widestMargins } from './resample.ts';
export type { Margins } from './resample.ts';

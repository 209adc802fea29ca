import { UsageError } from '../../errors.ts';

/**
 * The transforms of the augmentation of Karras et al. 2022, appendix F.2 (after Karras et al. 2020), in the order in which
 * they act: first those that move whole pixels, then those that resample the image, all in one go, then those of its
 * colours.
 */
export const transformNames = [
  'xFlip',
  'yFlip',
  'rotateInt',
  'translateInt',
  'scale',
  'rotateFrac',
  'aniso',
  'translateFrac',
  'brightness',
  'contrast',
  'lumaFlip',
  'hue',
  'saturation',
] as const;

export type TransformName = (typeof transformNames)[number];

/** How far the transforms go. */
export interface AugmentationStrengths {
  /** Largest shift by whole pixels, in widths and heights of the image. */
  readonly translateIntMax: number;
  /** Standard deviation of log2 of the scale. */
  readonly scaleStd: number;
  /** Largest rotation, 1 for half a turn to either side. */
  readonly rotateFracMax: number;
  /** Standard deviation of log2 of the stretch. */
  readonly anisoStd: number;
  /** Probability that an image is stretched along a random direction; along its sides otherwise. */
  readonly anisoRotateProbability: number;
  /** Standard deviation of the shift, in widths and heights of the image. */
  readonly translateFracStd: number;
  /** Standard deviation of what is added to all channels. */
  readonly brightnessStd: number;
  /** Standard deviation of log2 of the contrast. */
  readonly contrastStd: number;
  /** Largest turn of the hue, 1 for half a turn to either side. */
  readonly hueMax: number;
  /** Standard deviation of log2 of the saturation. */
  readonly saturationStd: number;
}

/** The strengths of Karras et al. 2022. */
export const defaultStrengths: AugmentationStrengths = {
  translateIntMax: 0.125,
  scaleStd: 0.2,
  rotateFracMax: 1,
  anisoStd: 0.2,
  anisoRotateProbability: 0.5,
  translateFracStd: 0.125,
  brightnessStd: 0.2,
  contrastStd: 0.5,
  hueMax: 1,
  saturationStd: 1,
};

/** What is done to images before they are shown to a network, which is told what was done. */
export interface AugmentationConfig {
  /** Probability of each transform, to be multiplied by its own factor. */
  readonly probability: number;
  /** Factor of the probability of each transform; 0 or left out: the transform is no part of the augmentation. */
  readonly multipliers: Readonly<Partial<Record<TransformName, number>>>;
  readonly strengths: AugmentationStrengths;
}

/** So large a factor that a transform is always drawn: half of the images are flipped at any probability. */
const always = 1e8;

/** The transforms of EDM's recipe for CIFAR-10, FFHQ and AFHQv2, with their factors. Nine labels. */
export const edmMultipliers = {
  xFlip: always,
  yFlip: 1,
  scale: 1,
  rotateFrac: 1,
  aniso: 1,
  translateFrac: 1,
} as const satisfies AugmentationConfig['multipliers'];

/** EDM's augmentation; its probability is 0.12 for CIFAR-10 and 0.15 for FFHQ and AFHQv2. */
export const edmAugmentation = (probability: number): AugmentationConfig => ({
  probability,
  multipliers: edmMultipliers,
  strengths: defaultStrengths,
});

/** The factor of a transform; 0 where it has none. */
export const multiplierOf = ({ multipliers }: Pick<AugmentationConfig, 'multipliers'>, name: TransformName): number =>
  multipliers[name] ?? 0;

/** The transforms that an augmentation consists of, in their order. */
export const transformsOf = (config: Pick<AugmentationConfig, 'multipliers'>): TransformName[] =>
  transformNames.filter((name) => multiplierOf(config, name) > 0);

/** The share of images whose pixels stay what they are: none of the transforms that resample or recolour them happens. */
export const shareReoriented = (config: AugmentationConfig): number =>
  transformsOf(config)
    .filter((name) => !['xFlip', 'yFlip', 'rotateInt'].includes(name))
    .reduce((share, name) => share * (1 - Math.min(1, config.probability * multiplierOf(config, name))), 1);

/** How many numbers tell a network of each transform. */
export const labelCounts: Readonly<Record<TransformName, number>> = {
  xFlip: 1,
  yFlip: 1,
  rotateInt: 2,
  translateInt: 2,
  scale: 1,
  rotateFrac: 2,
  aniso: 2,
  translateFrac: 2,
  brightness: 1,
  contrast: 1,
  lumaFlip: 1,
  hue: 2,
  saturation: 1,
};

/** Length of the label that tells a network how an image was augmented: 9 for EDM's recipe, 19 for all transforms. */
export const augmentationLabelDim = (config: Pick<AugmentationConfig, 'multipliers'>): number =>
  transformsOf(config).reduce((total, name) => total + labelCounts[name], 0);

/**
 * Whether an augmentation can be done to samples of a shape.
 *
 * @param sampleShape  [C, H, W]
 * @throws UsageError  for samples that are no images, colours of neither one nor three channels, quarter turns of images
 *                     that are not square, and numbers out of range
 */
export function checkAugmentation(config: AugmentationConfig, sampleShape: readonly number[]): void {
  const { probability, strengths } = config;
  if (!(probability >= 0 && probability <= 1))
    throw new UsageError(`augmentation: the probability must be from 0 to 1, got ${probability}.`);
  for (const name of transformNames) {
    const factor = multiplierOf(config, name);
    if (!(factor >= 0 && factor < Infinity))
      throw new UsageError(`augmentation: the factor of ${name} must be a number of at least 0, got ${factor}.`);
  }
  for (const [name, value] of Object.entries(strengths))
    if (!(value >= 0 && value < Infinity))
      throw new UsageError(`augmentation: ${name} must be a number of at least 0, got ${value}.`);
  if (multiplierOf(config, 'translateInt') > 0 && strengths.translateIntMax === 0)
    throw new UsageError('augmentation: translateIntMax must be above 0 where images are shifted by it, got 0.');
  if (sampleShape.length !== 3)
    throw new UsageError(
      `augmentation: is for images [channels, height, width], and the samples have the shape [${sampleShape.join(', ')}].`,
    );
  const [channels, height, width] = sampleShape;
  const colours = transformsOf(config).filter((name) => colourTransforms.has(name));
  if (colours.length > 0 && channels !== 1 && channels !== 3)
    throw new UsageError(
      `augmentation: ${colours.join(', ')} need images of 1 or 3 channels, and these have ${channels}.`,
    );
  if (multiplierOf(config, 'rotateInt') > 0 && height !== width)
    throw new UsageError(`augmentation: rotateInt needs square images, and these have ${height} x ${width} pixels.`);
}

/** Transforms of the colours. */
export const colourTransforms: ReadonlySet<TransformName> = new Set([
  'brightness',
  'contrast',
  'lumaFlip',
  'hue',
  'saturation',
]);

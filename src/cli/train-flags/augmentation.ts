import { edmAugmentation, edmMultipliers, transformNames, transformsOf } from '../../data/augmentation/index.ts';
import type { AugmentationConfig, TransformName } from '../../data/augmentation/index.ts';
import { UsageError } from '../../errors.ts';
import { dataName, dataShape } from '../../node/training-data.ts';
import { withAugmentation } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { number } from '../values.ts';
import type { ValueKind } from '../values.ts';
import { flag, toggle, yesOrNo } from './flag.ts';
import type { TrainFlag } from './flag.ts';

/** Names on the command line: `x-flip`, `rotate-int`. */
const typedName = (name: TransformName): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const typedNames = transformNames.map(typedName);

const transforms: ValueKind<readonly TransformName[]> = {
  name: 'LIST',
  parse: (text, name) => {
    const wanted = text.split(',').map((each) => each.trim());
    const unknown = wanted.find((each) => !typedNames.includes(each));
    if (unknown !== undefined)
      throw new UsageError(`${name}: unknown transform "${unknown}". Choose from: ${typedNames.join(', ')}.`);
    return transformNames.filter((each) => wanted.includes(typedName(each)));
  },
};

const hasImages = ({ data }: TrainingOptions): boolean => dataShape(data).sampleShape.length === 3;

function requireImages(options: TrainingOptions, name: string): void {
  if (!hasImages(options)) throw new UsageError(`--${name} is for images, and ${dataName(options.data)} has points.`);
}

function withProbability(options: TrainingOptions, probability: number): TrainingOptions {
  if (probability === 0) return withAugmentation(options, null);
  requireImages(options, 'augment');
  return withAugmentation(options, { ...(options.augmentation ?? edmAugmentation(probability)), probability });
}

function withTransforms(options: TrainingOptions, names: readonly TransformName[]): TrainingOptions {
  const { augmentation } = options;
  if (!augmentation) throw new UsageError('--augment-with needs augmentation: give its probability with --augment.');
  const factors: AugmentationConfig['multipliers'] = edmMultipliers;
  const multipliers = Object.fromEntries(names.map((name) => [name, factors[name] ?? 1]));
  return withAugmentation(options, { ...augmentation, multipliers });
}

/** What is done to images before they are shown to the network. */
export const augmentationFlags: readonly TrainFlag[] = [
  flag('Augmentation', 'augment', {
    kind: number('P', { min: 0, max: 1 }),
    help: 'Probability of each transform of the images, of which the network is told; 0: none. Half are flipped to the side',
    get: (options) => (hasImages(options) ? (options.augmentation?.probability ?? 0) : undefined),
    set: withProbability,
  }),
  flag('Augmentation', 'augment-with', {
    kind: transforms,
    help: `With --augment, the transforms: ${typedNames.join(', ')}`,
    get: ({ augmentation }) => (augmentation ? transformsOf(augmentation) : undefined),
    set: withTransforms,
    show: (names) => names.map(typedName).join(','),
  }),
  flag('Augmentation', 'xflip', {
    kind: toggle,
    help: 'Add the mirror image of every image to the data, of which the network is not told',
    offHelp: 'Take the images of the data as they are',
    get: (options) => (hasImages(options) ? options.xFlip : undefined),
    set: (options, xFlip) => {
      if (xFlip) requireImages(options, 'xflip');
      return { ...options, xFlip };
    },
    show: yesOrNo,
  }),
];

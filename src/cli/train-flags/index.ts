import { augmentationFlags } from './augmentation.ts';
import { dataFlags } from './data.ts';
import type { TrainFlag } from './flag.ts';
import { formulationFlags } from './formulation.ts';
import { networkFlags } from './network.ts';
import { optimisationFlags } from './optimisation.ts';
import { outputFlags } from './output.ts';
import { targetFlags } from './target.ts';

export type { TrainFlag } from './flag.ts';
export { betaMaxOf, scheduleOf } from './formulation.ts';
export { countOf, stableOf } from './target.ts';

/**
 * Every option of `stf train` that is part of the training options, in the order in which they are applied: data first,
 * since the network follows from it. Names and units are EDM's where EDM has the option.
 */
export const trainFlags: readonly TrainFlag[] = [
  ...dataFlags,
  ...networkFlags,
  ...augmentationFlags,
  ...targetFlags,
  ...formulationFlags,
  ...optimisationFlags,
  ...outputFlags,
];

import { shareReoriented } from '../data/augmentation/index.ts';
import { fillNoiseLevels } from '../diffusion/index.ts';
import { passes, restrictsClass } from '../objective/index.ts';
import type { ReferenceConfig } from '../objective/index.ts';
import { streams } from '../numerics/random.ts';
import type { TrainingOptions } from './options.ts';

/** Draws of the noise level from which the share that a gate lets through is told. */
const draws = 20_000;

/**
 * What a run trains towards, in one line: the target, where its references come from, whose class they have, and at which
 * noise levels it is used.
 */
export function describeTarget(options: TrainingOptions): string {
  const { objective, denoiser } = options;
  if (objective.kind === 'dsm') return 'denoising score matching: the clean sample';
  const { labelDim } = denoiser.network;
  const classes = restrictsClass(objective, labelDim)
    ? ", of each sample's own class only"
    : labelDim > 0
      ? ', of all classes together, which is biased for a network that is told the class'
      : '';
  return `stable target over ${referencesInWords(objective.references, options.batch)}${classes}${gateInWords(options)}${augmentationInWords(options)}`;
}

function referencesInWords(references: ReferenceConfig, batch: number): string {
  switch (references.kind) {
    case 'batch':
      return `the mini-batch of ${batch}`;
    case 'fresh':
      return `${references.count} fresh references`;
    case 'bank':
      return `the last ${references.count} samples seen`;
    case 'class-bank':
      return `the mini-batch and ${references.perClass} samples of each class in it`;
    case 'nearest':
      return `${references.neighbours} neighbours of each sample and ${references.others} others`;
    case 'all':
      return 'the whole data set';
  }
}

/** Which images have references, where some are augmented so that no other is like them. */
function augmentationInWords({ augmentation }: TrainingOptions): string {
  const share = augmentation ? shareReoriented(augmentation) : 1;
  return share < 1 ? `; for the ${percent(share)} of images that are flipped or turned at the most` : '';
}

/** The gate, with the share of the noise levels of training that it lets through. */
function gateInWords({ objective, noiseLevels, seed }: TrainingOptions): string {
  const gate = objective.kind === 'stf' ? objective.gate : null;
  if (!gate) return '';
  const levels = new Float64Array(draws);
  fillNoiseLevels(levels, noiseLevels, { seed, stream: streams.evaluation, step: 0, sample: 0 });
  const share = levels.reduce((count, level) => count + (passes(gate, level) ? 1 : 0), 0) / draws;
  return `, at noise levels from ${gate.sigmaMin} to ${gate.sigmaMax} (${share === 0 ? 'none' : percent(share)} of those that are trained)`;
}

const percent = (share: number): string => `${(100 * share).toPrecision(2)} %`;

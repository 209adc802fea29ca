import { augmentationLabelDim, edmAugmentation } from '../data/augmentation/index.ts';
import type { AugmentationConfig } from '../data/augmentation/index.ts';
import type { NoiseLevelConfig, OutputForm, PreconditioningConfig, ProcessConfig } from '../diffusion/index.ts';
import { sigmaRange } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { adm, ddpmpp, ncsnpp } from '../networks/index.ts';
import type { DhariwalUNetConfig, SongUNetConfig } from '../networks/index.ts';
import { withinRange } from '../sampling/index.ts';
import { adamDefaults } from './adam.ts';
import type { TrainingOptions } from './options.ts';

type UNetConfig = SongUNetConfig | DhariwalUNetConfig;

/** Noise levels between which EDM samples, and between which its process runs. Karras et al. 2022, Table 1. */
const edmRange = { sigmaMin: 0.002, sigmaMax: 80 } as const;

const subVp = { kind: 'sub-vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 } as const;
const flow = { kind: 'flow', epsilonT: 1e-3 } as const;

/**
 * The formulations of the literature: a preconditioning and the noise levels that its networks are trained at. Karras et
 * al. 2022, Table 1; sub-VP of Song et al. 2021; flow matching of Lipman et al. 2023.
 */
export const formulations = {
  edm: {
    preconditioning: { kind: 'edm', sigmaData: 0.5 },
    noiseLevels: { kind: 'log-normal', pMean: -1.2, pStd: 1.2 },
  },
  vp: {
    preconditioning: { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 },
    noiseLevels: { kind: 'vp-time', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5 },
  },
  ve: {
    preconditioning: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 },
    noiseLevels: { kind: 'log-uniform', sigmaMin: 0.02, sigmaMax: 100 },
  },
  iddpm: {
    preconditioning: { kind: 'iddpm', c1: 0.001, c2: 0.008, steps: 1000 },
    noiseLevels: { kind: 'iddpm-steps', c1: 0.001, c2: 0.008, steps: 1000 },
  },
  'sub-vp': {
    preconditioning: { kind: 'process', process: subVp, output: 'epsilon' },
    noiseLevels: { kind: 'process-time', process: subVp },
  },
  flow: {
    preconditioning: { kind: 'process', process: flow, output: 'velocity' },
    noiseLevels: { kind: 'process-time', process: flow },
  },
} as const satisfies Record<string, { preconditioning: PreconditioningConfig; noiseLevels: NoiseLevelConfig }>;

export type FormulationName = keyof typeof formulations;

/** The formulation that a preconditioning belongs to, whatever its network gives. */
export const formulationOf = (preconditioning: PreconditioningConfig): FormulationName =>
  preconditioning.kind === 'process' ? preconditioning.process.kind : preconditioning.kind;

/** Augmentation on CIFAR-10. Karras et al. 2022, Table 7. */
const cifar10Augmentation = edmAugmentation(0.12);

/** The paper's recipe: DDPM++ on CIFAR-10 with 4096 references. Karras et al. 2022, appendix F; Xu et al. 2023. */
const cifar10EdmDdpmpp: TrainingOptions = {
  data: { kind: 'cifar10', maxImages: null },
  xFlip: false,
  augmentation: cifar10Augmentation,
  denoiser: {
    network: { ...ddpmpp, augmentDim: augmentationLabelDim(cifar10Augmentation) },
    preconditioning: formulations.edm.preconditioning,
  },
  objective: { kind: 'stf', references: { kind: 'fresh', count: 4096 }, mixLabels: false, gate: null },
  noiseLevels: formulations.edm.noiseLevels,
  weighting: 'network',
  batch: 512,
  // 32 images at a time: gradients add up to those of the whole batch, and the activations fit into a few GB.
  rounds: 16,
  checkpointing: false,
  learningRate: 1e-3,
  learningRateRampKimg: 10_000,
  adam: adamDefaults,
  lossScaling: 1,
  precision: 'float32',
  ema: { halfLifeKimg: 500, rampUpRatio: 0.05 },
  durationKimg: 200_000,
  kimgPerTick: 50,
  checkpointTicks: 50,
  sampleTicks: 50,
  keptCheckpoints: 3,
  milestoneKimg: null,
  onSaveFailure: 'retry',
  onNonFinite: 'stop',
  samples: { count: 64, steps: 18, ...edmRange, rho: 7 },
  sigmaRanges: [2, 10],
  seed: 0,
};

/**
 * A small DDPM++ that two cores train in five minutes: colours and shapes, not yet objects. Of so short a training, more
 * goes to the noise levels at which an image takes shape.
 */
const quickstart: TrainingOptions = {
  ...cifar10EdmDdpmpp,
  augmentation: null,
  denoiser: {
    ...cifar10EdmDdpmpp.denoiser,
    network: {
      ...ddpmpp,
      modelChannels: 32,
      channelMult: [1, 2, 2, 2],
      blocks: 1,
      attentionResolutions: [8],
      dropout: 0,
    },
  },
  objective: { kind: 'stf', references: { kind: 'fresh', count: 1024 }, mixLabels: false, gate: null },
  noiseLevels: { kind: 'log-normal', pMean: -1, pStd: 1.2 },
  batch: 16,
  rounds: 1,
  learningRate: 2e-3,
  learningRateRampKimg: 1,
  ema: { halfLifeKimg: 3, rampUpRatio: 0.2 },
  durationKimg: 17,
  kimgPerTick: 1,
  checkpointTicks: 6,
  sampleTicks: 6,
};

/** Points in the plane with a perceptron: less than a minute for either objective. */
const toy2d: TrainingOptions = {
  ...cifar10EdmDdpmpp,
  augmentation: null,
  data: { kind: 'toy', name: 'eightGaussians', length: 50_000, dimension: 2 },
  denoiser: {
    network: { kind: 'mlp', sampleShape: [2], width: 128, blocks: 3, labelDim: 0, labelDropout: 0, dropout: 0 },
    preconditioning: formulations.edm.preconditioning,
  },
  objective: { kind: 'stf', references: { kind: 'fresh', count: 2048 }, mixLabels: false, gate: null },
  batch: 1024,
  rounds: 1,
  learningRate: 2e-3,
  learningRateRampKimg: 20,
  ema: { halfLifeKimg: 150, rampUpRatio: 0.1 },
  durationKimg: 1600,
  kimgPerTick: 200,
  checkpointTicks: null,
  sampleTicks: null,
  samples: { count: 20_000, steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7 },
  sigmaRanges: [0.1, 1],
};

/**
 * The recipe above with another network or formulation. Karras et al. 2022 train VP and VE networks of their own so:
 * their program changes the preconditioning and the loss for them, and neither batch, learning rate, moving average nor
 * length. The networks that Song et al. 2021 published were trained otherwise (VE: σ from 0.01 to 50, batch 128, learning
 * rate 2e-4, moving average by 0.999 a step).
 */
const cifar10 = (formulation: keyof typeof formulations, network: UNetConfig): TrainingOptions => {
  const { denoiser } = cifar10EdmDdpmpp;
  const told = { ...network, augmentDim: augmentationLabelDim(cifar10Augmentation) };
  return withPreconditioning(
    { ...cifar10EdmDdpmpp, denoiser: { ...denoiser, network: told } },
    formulations[formulation].preconditioning,
  );
};

/** Named sets of defaults: `stf train --preset NAME`. All are unconditional; `--cond` tells the network the class. */
export const presets = {
  quickstart,
  'toy-2d': toy2d,
  'cifar10-edm-ddpmpp': cifar10EdmDdpmpp,
  'cifar10-edm-ncsnpp': cifar10('edm', ncsnpp),
  'cifar10-vp-ddpmpp': cifar10('vp', ddpmpp),
  'cifar10-vp-ncsnpp': cifar10('vp', ncsnpp),
  'cifar10-ve-ddpmpp': cifar10('ve', ddpmpp),
  'cifar10-ve-ncsnpp': cifar10('ve', ncsnpp),
  // The widths of ImageNet at 64 × 64, where it was published; nobody did for CIFAR-10.
  'cifar10-edm-adm': cifar10('edm', { ...adm, resolution: 32, labelDim: 0 }),
} as const;

/**
 * Options with another augmentation, or none: the network takes the labels that there are. Without augmentation before and
 * after, nothing changes.
 *
 * @throws UsageError for a network of points
 */
export function withAugmentation(options: TrainingOptions, augmentation: AugmentationConfig | null): TrainingOptions {
  const { network } = options.denoiser;
  if (augmentation === null && options.augmentation === null) return options;
  if (network.kind === 'mlp') throw new UsageError('augmentation is for images, and the network is for points.');
  const augmentDim = augmentation ? augmentationLabelDim(augmentation) : 0;
  return { ...options, augmentation, denoiser: { ...options.denoiser, network: { ...network, augmentDim } } };
}

export type PresetName = keyof typeof presets;

/**
 * Options with another preconditioning: the noise levels of its networks come with it, and the sampler stays within the
 * range that they know.
 */
export function withPreconditioning(options: TrainingOptions, preconditioning: PreconditioningConfig): TrainingOptions {
  const within = withinRange(cifar10EdmDdpmpp.samples, sigmaRange(preconditioning));
  return {
    ...options,
    denoiser: { ...options.denoiser, preconditioning },
    noiseLevels: noiseLevelsOf(preconditioning),
    samples: { ...options.samples, ...within },
  };
}

function noiseLevelsOf(preconditioning: PreconditioningConfig): NoiseLevelConfig {
  switch (preconditioning.kind) {
    case 'edm':
      return formulations.edm.noiseLevels;
    case 'vp': {
      const { betaD, betaMin, epsilonT } = preconditioning;
      return { kind: 'vp-time', betaD, betaMin, epsilonT };
    }
    case 've': {
      const { sigmaMin, sigmaMax } = preconditioning;
      return { kind: 'log-uniform', sigmaMin, sigmaMax };
    }
    case 'iddpm': {
      const { c1, c2, steps } = preconditioning;
      return { kind: 'iddpm-steps', c1, c2, steps };
    }
    case 'process': {
      const { process } = preconditioning;
      return process.kind === 'edm' ? formulations.edm.noiseLevels : { kind: 'process-time', process };
    }
    default:
      return preconditioning satisfies never;
  }
}

/** What networks of a preconditioning give, where that is one of the output forms. VE's give minus the noise. */
export function outputOf(preconditioning: PreconditioningConfig): OutputForm | undefined {
  if (preconditioning.kind === 'process') return preconditioning.output;
  return preconditioning.kind === 'vp' || preconditioning.kind === 'iddpm' ? 'epsilon' : undefined;
}

/**
 * The preconditioning of a network that sees the same process and gives a certain form; the same one where its networks
 * give this form already.
 *
 * @throws UsageError for iDDPM, whose noise levels are no function of a continuous time
 */
export const withOutput = (preconditioning: PreconditioningConfig, output: OutputForm): PreconditioningConfig =>
  outputOf(preconditioning) === output
    ? preconditioning
    : { kind: 'process', process: processUnder(preconditioning), output };

/** The process of a preconditioning's literature, with the constants that it has. */
function processUnder(preconditioning: PreconditioningConfig): ProcessConfig {
  switch (preconditioning.kind) {
    case 'edm':
      return { kind: 'edm', ...edmRange };
    case 'iddpm':
      throw new UsageError('networks of iddpm give epsilon and nothing else.');
    case 'process':
      return preconditioning.process;
    default:
      return preconditioning;
  }
}

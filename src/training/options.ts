import { z } from 'zod';
import { augmentationLabelDim, checkAugmentation, transformNames } from '../data/augmentation/index.ts';
import { toyKinds } from '../data/toy.ts';
import { mostNoiseSteps, outputForms, weightings } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { precisions } from '../graph/index.ts';
import { augmentDimOf, sampleShapeOf } from '../networks/index.ts';
import { filterFault } from '../networks/resample-filter.ts';
import { largestSigma, largestTrainedSigma } from './noise-range.ts';
import { checkSizes } from './round.ts';

/*
 * Everything that determines a training run, as plain data: what `options.json` holds and a checkpoint carries. Every
 * default has its one home in presets.ts.
 */

const count = z.number().int().positive();
const positive = z.number().positive();
const nonNegative = z.number().nonnegative();
const probability = z.number().min(0).lt(1);

/** Of each of which a network has parameters: more than this is a mistake, or an attack. */
const blocks = count.max(1000);
const width = count.max(1_000_000);
const noiseSteps = count.max(mostNoiseSteps);

/** What all U-Nets have. */
const unet = {
  resolution: count,
  channels: count,
  modelChannels: width,
  channelMult: z.array(width).min(1).max(32).readonly(),
  channelMultEmbedding: count,
  blocks,
  attentionResolutions: z.array(count).readonly(),
  dropout: probability,
  labelDim: z.number().int().nonnegative(),
  labelDropout: z.number().min(0).max(1),
  augmentDim: z.number().int().nonnegative(),
};

const songUNet = z.object({
  kind: z.literal('song-unet'),
  ...unet,
  outChannels: count.optional(),
  embedding: z.enum(['positional', 'fourier']),
  channelMultNoise: count,
  encoder: z.enum(['standard', 'skip', 'residual']),
  decoder: z.enum(['standard', 'skip']),
  resampleFilter: z
    .array(z.number())
    .readonly()
    .superRefine((row, context) => {
      const fault = filterFault(row);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `must ${fault}` });
    }),
});

const dhariwalUNet = z.object({ kind: z.literal('dhariwal-unet'), ...unet, outChannels: count });

const mlp = z.object({
  kind: z.literal('mlp'),
  sampleShape: z.array(count).min(1).readonly(),
  width,
  blocks,
  labelDim: z.number().int().nonnegative(),
  labelDropout: z.number().min(0).max(1),
  dropout: probability,
});

const vpSchedule = { betaD: positive, betaMin: positive, epsilonT: z.number().positive().lt(1) };
const veSchedule = { sigmaMin: positive, sigmaMax: positive };
const iddpmSchedule = { c1: positive, c2: nonNegative, steps: noiseSteps };

/** A forward process. */
const processSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ve'), ...veSchedule }),
  z.object({ kind: z.literal('vp'), ...vpSchedule, steps: noiseSteps }),
  z.object({ kind: z.literal('sub-vp'), ...vpSchedule, steps: noiseSteps }),
  z.object({ kind: z.literal('edm'), ...veSchedule }),
  z.object({ kind: z.literal('flow'), epsilonT: z.number().positive().lt(0.5) }),
]);

/** A denoiser: network and preconditioning. */
const denoiserSchema = z.object({
  network: z.discriminatedUnion('kind', [songUNet, dhariwalUNet, mlp]),
  preconditioning: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('edm'), sigmaData: positive }),
    z.object({ kind: z.literal('vp'), ...vpSchedule, steps: noiseSteps }),
    z.object({ kind: z.literal('ve'), ...veSchedule }),
    z.object({ kind: z.literal('iddpm'), ...iddpmSchedule }),
    z.object({ kind: z.literal('process'), process: processSchema, output: z.enum(outputForms) }),
  ]),
});

const trainingOptionsSchema = z.object({
  /** What to train on. */
  data: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('cifar10'), /** The first images only; null for all. */ maxImages: count.nullable() }),
    z.object({
      kind: z.literal('toy'),
      name: z.enum(toyKinds),
      length: count,
      dimension: count,
    }),
    z.object({
      /** The user's own, in a file or folder: images [C, H, W] or points [d]. */
      kind: z.literal('file'),
      path: z.string(),
      sampleShape: z.array(count).min(1).max(3).readonly(),
      classes: z.number().int().nonnegative(),
      length: count,
      /** The first samples only; null for all. */
      maxImages: count.nullable(),
    }),
  ]),
  /** Whether every image comes a second time, turned over from left to right. */
  xFlip: z.boolean().default(false),
  /** What is done to images, and told to the network, before they are shown to it; null for nothing. */
  augmentation: z
    .object({
      probability: z.number().min(0).max(1),
      multipliers: z.partialRecord(z.enum(transformNames), nonNegative),
      strengths: z.object({
        translateIntMax: nonNegative,
        scaleStd: nonNegative,
        rotateFracMax: nonNegative,
        anisoStd: nonNegative,
        anisoRotateProbability: nonNegative,
        translateFracStd: nonNegative,
        brightnessStd: nonNegative,
        contrastStd: nonNegative,
        hueMax: nonNegative,
        saturationStd: nonNegative,
      }),
    })
    .nullable()
    .default(null),
  denoiser: denoiserSchema,
  objective: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('dsm') }),
    z.object({
      kind: z.literal('stf'),
      references: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('batch') }),
        z.object({ kind: z.literal('fresh'), count }),
        z.object({ kind: z.literal('bank'), count }),
        z.object({ kind: z.literal('class-bank'), perClass: count }),
        z.object({ kind: z.literal('nearest'), neighbours: count, others: count }),
        z.object({ kind: z.literal('all') }),
      ]),
      mixLabels: z.boolean(),
      gate: z.object({ sigmaMin: nonNegative, sigmaMax: positive }).nullable(),
    }),
  ]),
  noiseLevels: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('log-normal'), pMean: z.number(), pStd: positive }),
    z.object({ kind: z.literal('vp-time'), ...vpSchedule }),
    z.object({ kind: z.literal('log-uniform'), ...veSchedule }),
    z.object({ kind: z.literal('iddpm-steps'), ...iddpmSchedule }),
    z.object({ kind: z.literal('process-time'), process: processSchema }),
  ]),
  /** Whose squared error the loss is. */
  weighting: z.enum(weightings).default('network'),
  /** Images a step. */
  batch: count,
  /** Accumulation rounds a step. */
  rounds: count,
  /** Compute the inside of the network's blocks again in the backward pass instead of keeping it. */
  checkpointing: z.boolean().default(false),
  learningRate: z.number().positive(),
  learningRateRampKimg: nonNegative,
  adam: z.object({ beta1: probability, beta2: probability, epsilon: z.number().positive() }),
  lossScaling: z.number().positive(),
  /** In what the network's products are computed. Everything else, and the state, is float32. */
  precision: z.enum(precisions).default('float32'),
  ema: z.object({ halfLifeKimg: nonNegative, rampUpRatio: nonNegative.nullable() }),
  /** Training length in thousand images. */
  durationKimg: z.number().positive(),
  /** Thousand images between progress lines. */
  kimgPerTick: z.number().positive(),
  /** Ticks between checkpoints, and between sample pictures; null for only at the end. */
  checkpointTicks: count.nullable(),
  sampleTicks: count.nullable(),
  /** Newest checkpoints that are kept; null for all. */
  keptCheckpoints: count.nullable().default(3),
  /** The first checkpoint of every so many thousand images is kept for good; null for none. */
  milestoneKimg: positive.nullable().default(null),
  /** What to do when something can't be saved: go on and try again, or stop. */
  onSaveFailure: z.enum(['retry', 'stop']).default('retry'),
  /** What to do when a loss or gradient is infinite or NaN: stop, or leave the update of that step out. */
  onNonFinite: z.enum(['stop', 'skip']).default('stop'),
  samples: z.object({
    count,
    steps: count,
    sigmaMin: z.number().positive(),
    sigmaMax: z.number().positive(),
    rho: z.number().positive(),
  }),
  /** Borders of the three ranges of sigma in which target variances are logged. */
  sigmaRanges: z.tuple([z.number().positive(), z.number().positive()]).readonly(),
  seed: z.number().int().nonnegative(),
});

export type TrainingOptions = z.infer<typeof trainingOptionsSchema>;

/**
 * Checks options that come from outside.
 *
 * @param value   parsed JSON, or options put together by the command line
 * @param source  where it came from, for the message
 * @throws UsageError naming the first offending option, its value and what is allowed
 */
export function parseTrainingOptions(value: unknown, source = 'options'): TrainingOptions {
  const parsed = trainingOptionsSchema.safeParse(value);
  if (parsed.success) return checkTogether(parsed.data);
  const [issue] = parsed.error.issues;
  const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
  throw new OptionError(source, issue.path, reasonOf(issue), found);
}

/** An option has a value that it can't have. */
export class OptionError extends UsageError {
  override name = 'UsageError';
  /** Where the option is, such as `denoiser`, `network`, `width`. */
  readonly path: readonly PropertyKey[];
  /** What is wrong with it: `must be at most 1000`. */
  readonly reason: string;

  constructor(source: string, path: readonly PropertyKey[], reason: string, value: unknown) {
    super(`${source}: ${path.join('.')}: ${reason}, got ${shown(value)}.`);
    this.path = path;
    this.reason = reason;
  }
}

/** A value in a message, where it is short enough to be shown: files can have lists and objects of any size and depth. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return `an object of ${Object.keys(value).length} entries`;
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  // NaN and infinity are no JSON.
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? 'nothing');
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union' && 'options' in issue)
    return `must be one of ${(issue.options as unknown[]).join(', ')}`;
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'invalid_type')
    return `must be ${issue.expected === 'int' ? 'an integer' : `of type ${issue.expected}`}`;
  if (issue.code === 'too_big' && issue.origin !== 'array')
    return `must be ${issue.inclusive === false ? 'below' : 'at most'} ${issue.maximum}`;
  if (issue.code === 'too_small' && issue.origin !== 'array')
    return `must be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}`;
  return issue.message;
}

/** A network must be told as much as its augmentation has to say. */
function checkLabels({ augmentation, xFlip, denoiser: { network } }: TrainingOptions): void {
  const shape = sampleShapeOf(network);
  if (xFlip && shape.length !== 3)
    throw new UsageError(`--xflip is for images, and the samples have the shape [${shape.join(', ')}].`);
  if (!augmentation) return;
  checkAugmentation(augmentation, shape);
  const [needed, found] = [augmentationLabelDim(augmentation), augmentDimOf(network)];
  if (needed !== found)
    throw new UsageError(
      `augmentation: its label has ${needed} numbers, and the network takes ${found} (augmentDim of the network).`,
    );
}

/** What must hold between options. */
function checkTogether(options: TrainingOptions): TrainingOptions {
  const { samples, sigmaRanges, objective } = options;
  checkSizes(options);
  checkLabels(options);
  if (objective.kind === 'stf' && objective.gate && objective.gate.sigmaMin >= objective.gate.sigmaMax) {
    const { sigmaMin, sigmaMax } = objective.gate;
    throw new UsageError(
      `gate: sigmaMin must be below sigmaMax, got sigmaMin = ${sigmaMin} and sigmaMax = ${sigmaMax}. Are they swapped?`,
    );
  }
  for (const [name, own] of [
    ['denoiser.preconditioning', options.denoiser.preconditioning],
    ['noiseLevels', options.noiseLevels],
  ] as const) {
    const config = 'process' in own ? own.process : own;
    if ('sigmaMin' in config && config.sigmaMin >= config.sigmaMax) {
      throw new UsageError(
        `${name}: sigmaMin must be below sigmaMax, got sigmaMin = ${config.sigmaMin} and sigmaMax = ${config.sigmaMax}. Are they swapped?`,
      );
    }
  }
  const largest = largestTrainedSigma(options);
  if (!(largest <= largestSigma))
    throw new UsageError(
      `noiseLevels: the largest noise level must be at most ${largestSigma}, got ${largest}: float32 keeps seven digits, and nothing of the data is left in such noise.`,
    );
  if (samples.sigmaMin >= samples.sigmaMax) {
    throw new UsageError(
      `samples: sigmaMin must be below sigmaMax, got sigmaMin = ${samples.sigmaMin} and sigmaMax = ${samples.sigmaMax}. Are they swapped?`,
    );
  }
  if (sigmaRanges[0] >= sigmaRanges[1])
    throw new UsageError(`sigmaRanges must increase, got ${sigmaRanges.join(' and ')}.`);
  return options;
}

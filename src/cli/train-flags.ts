import { outputForms, preconditioningName, weightings } from '../diffusion/index.ts';
import type { OutputForm, PreconditioningConfig } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { adm, ddpmpp, ncsnpp } from '../networks/index.ts';
import type { DhariwalUNetConfig, MlpConfig, NetworkConfig, SongUNetConfig } from '../networks/index.ts';
import { archName } from '../node/run-reader.ts';
import { dataName, dataNames, dataShape, toyKindOf } from '../node/training-data.ts';
import { formulationOf, formulations, outputOf, presets, withOutput, withPreconditioning } from '../training/index.ts';
import type { FormulationName, TrainingOptions } from '../training/index.ts';
import {
  countOf,
  referenceKinds,
  stableOf,
  withGate,
  withMixedLabels,
  withNeighbours,
  withReferenceBatch,
  withReferences,
} from './reference-options.ts';
import { choice, integer, integers, number, orWord, sigmaRange } from './values.ts';
import type { ValueKind } from './values.ts';

/** An option of `stf train` that changes one of the training options. */
export interface TrainFlag {
  /** Without dashes. */
  readonly name: string;
  readonly group: string;
  /** Shown behind the option; empty for a switch with `--NAME` and `--no-NAME`. */
  readonly valueName: string;
  readonly help: string;
  /** Help of `--no-NAME`; empty where there is none. */
  readonly offHelp: string;
  /** What is allowed. */
  readonly range: string | undefined;
  /** True when a run that is resumed may change it. */
  readonly onResume: boolean;
  /** The present value as one would type it; undefined where it does not apply. */
  show(options: TrainingOptions): string | undefined;
  /** Options in which the value is what `text` says. Throws UsageError. */
  set(options: TrainingOptions, text: string): TrainingOptions;
}

interface FlagOf<T> {
  readonly kind: ValueKind<T>;
  readonly help: string;
  /** Of a switch: help of `--no-NAME`. */
  readonly offHelp?: string;
  /** What is allowed, where the kind alone does not say it. */
  readonly range?: string;
  readonly onResume?: boolean;
  readonly get: (options: TrainingOptions) => T | undefined;
  readonly set: (options: TrainingOptions, value: T) => TrainingOptions;
  /** How a value is typed; null is shown as the word after `|` in the kind's name. */
  readonly show?: (value: T) => string;
}

function flag<T>(group: string, name: string, spec: FlagOf<T>): TrainFlag {
  const { kind, help, offHelp = '', range = kind.range, onResume = false, get, set, show } = spec;
  const text = (value: T): string => (value === null ? kind.name.split('|').at(-1)! : (show?.(value) ?? String(value)));
  return {
    name,
    group,
    valueName: kind.name,
    help,
    offHelp,
    range,
    onResume,
    show: (options) => {
      const value = get(options);
      return value === undefined ? undefined : text(value);
    },
    set: (options, typed) => set(options, kind.parse(typed, `--${name}`)),
  };
}

/** A switch: commander gives it as the text `true` or `false`. */
const toggle: ValueKind<boolean> = { name: '', parse: (text) => text === 'true' };

const yesOrNo = (value: boolean): string => (value ? 'yes' : 'no');

const count = integer('INT', { min: 1 });
const archNames = ['ddpmpp', 'ncsnpp', 'adm', 'mlp'] as const;
const formulationNames = ['edm', 'vp', 've', 'iddpm', 'sub-vp', 'flow'] as const satisfies FormulationName[];
const objectiveNames = ['dsm', 'stf'] as const;

const networkOf = ({ denoiser }: TrainingOptions): NetworkConfig => denoiser.network;
const archOf = (options: TrainingOptions): (typeof archNames)[number] => archName(networkOf(options));
const withNetwork = (options: TrainingOptions, network: NetworkConfig): TrainingOptions => ({
  ...options,
  denoiser: { ...options.denoiser, network },
});

type UNetConfig = SongUNetConfig | DhariwalUNetConfig;

/** What every U-Net has, whatever its architecture: its size and what it is told. */
type UNetSize = Omit<UNetConfig, 'kind'>;

/** Changes the U-Net; another network has no such option. */
function withUNet(options: TrainingOptions, name: string, change: Partial<UNetSize>): TrainingOptions {
  const network = networkOf(options);
  if (network.kind === 'mlp')
    throw new UsageError(`--${name} is an option of --arch ddpmpp, ncsnpp and adm, and the network is mlp.`);
  return withNetwork(options, { ...network, ...change });
}

function withMlp(options: TrainingOptions, name: string, change: Partial<MlpConfig>): TrainingOptions {
  const network = networkOf(options);
  if (network.kind !== 'mlp')
    throw new UsageError(`--${name} is an option of --arch mlp, and the network is ${archOf(options)}.`);
  return withNetwork(options, { ...network, ...change });
}

function withData(options: TrainingOptions, name: string): TrainingOptions {
  const kind = toyKindOf(name);
  if (kind === undefined) return { ...options, data: { kind: 'cifar10', maxImages: null } };
  const base = options.data.kind === 'toy' ? options.data : presets['toy-2d'].data;
  return { ...options, data: { ...(base as typeof base & { kind: 'toy' }), name: kind } };
}

function withArch(options: TrainingOptions, arch: (typeof archNames)[number]): TrainingOptions {
  if (arch === archOf(options)) return options;
  if (arch === 'mlp') return withNetwork(options, presets['toy-2d'].denoiser.network);
  const size = sizeOf(unetOf(options) ?? (presets.quickstart.denoiser.network as SongUNetConfig));
  if (arch === 'adm') return withNetwork(options, { ...adm, ...size, outChannels: size.channels });
  return withNetwork(options, { ...(arch === 'ncsnpp' ? ncsnpp : ddpmpp), ...size });
}

/** What stays when one U-Net takes the place of another. */
const sizeOf = ({
  resolution,
  channels,
  modelChannels,
  channelMult,
  channelMultEmbedding,
  blocks,
  attentionResolutions,
  dropout,
  labelDim,
  labelDropout,
  augmentDim,
}: UNetConfig): UNetSize => ({
  resolution,
  channels,
  modelChannels,
  channelMult,
  channelMultEmbedding,
  blocks,
  attentionResolutions,
  dropout,
  labelDim,
  labelDropout,
  augmentDim,
});

const preconditioningOf = ({ denoiser }: TrainingOptions): PreconditioningConfig => denoiser.preconditioning;

/** Another formulation; the published one of its name. */
const withFormulation = (options: TrainingOptions, name: FormulationName): TrainingOptions =>
  name === formulationOf(preconditioningOf(options))
    ? options
    : withPreconditioning(options, formulations[name].preconditioning);

/** Another preconditioning of the same formulation: log-normal noise levels, which do not follow from it, stay. */
function withinFormulation(options: TrainingOptions, preconditioning: PreconditioningConfig): TrainingOptions {
  const changed = withPreconditioning(options, preconditioning);
  return changed.noiseLevels.kind === 'log-normal' ? { ...changed, noiseLevels: options.noiseLevels } : changed;
}

/** A network that gives another form. */
function withOutputForm(options: TrainingOptions, output: OutputForm): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  if (output === outputOf(preconditioning)) return options;
  if (preconditioning.kind === 'iddpm') {
    throw new UsageError(
      `--output: networks of --precond iddpm give epsilon, got ${output}. Choose --precond edm, vp, ve, sub-vp or flow.`,
    );
  }
  return withinFormulation(options, withOutput(preconditioning, output));
}

function withSigmaData(options: TrainingOptions, sigmaData: number): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  if (preconditioning.kind !== 'edm') throw onlyOfEdm('sigma-data', preconditioning);
  return { ...options, denoiser: { ...options.denoiser, preconditioning: { ...preconditioning, sigmaData } } };
}

function withLogNormal(
  options: TrainingOptions,
  name: string,
  change: { readonly pMean?: number; readonly pStd?: number },
): TrainingOptions {
  const { noiseLevels } = options;
  if (noiseLevels.kind !== 'log-normal') throw onlyOfEdm(name, preconditioningOf(options));
  return { ...options, noiseLevels: { ...noiseLevels, ...change } };
}

const onlyOfEdm = (name: string, preconditioning: PreconditioningConfig): UsageError =>
  new UsageError(
    `--${name} is an option of --precond edm, and the preconditioning is ${preconditioningName(preconditioning)}.`,
  );

/** Constants of all schedules, by their names in the options. */
type Constant = 'betaD' | 'betaMin' | 'epsilonT' | 'sigmaMin' | 'sigmaMax' | 'c1' | 'c2' | 'steps';
type Schedule = Partial<Record<Constant, number>>;

/** The constants of the schedule that the networks are trained for. */
export function scheduleOf(options: TrainingOptions): Schedule {
  const preconditioning = preconditioningOf(options);
  const { kind, ...constants } = preconditioning.kind === 'process' ? preconditioning.process : preconditioning;
  return constants as Schedule;
}

/** Other constants; the noise levels and the sampler's range follow. */
function withSchedule(options: TrainingOptions, change: Schedule): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  const changed =
    preconditioning.kind === 'process'
      ? { ...preconditioning, process: { ...preconditioning.process, ...change } }
      : { ...preconditioning, ...change };
  return withinFormulation(options, changed);
}

/** An option that sets a constant of the schedules that have it. */
function scheduleFlag(
  name: string,
  key: Constant,
  { kind, help, formulations: owners }: { kind: ValueKind<number>; help: string; formulations: string },
): TrainFlag {
  return flag('Objective', name, {
    kind,
    help: `${owners}: ${help}`,
    get: (options) => scheduleOf(options)[key],
    set: (options, value) => {
      requireConstant(options, name, key, owners);
      return withSchedule(options, { [key]: value });
    },
  });
}

function requireConstant(options: TrainingOptions, name: string, key: Constant, owners: string): void {
  if (scheduleOf(options)[key] !== undefined) return;
  throw new UsageError(
    `--${name} is an option of --precond ${owners}, and the preconditioning is ${preconditioningName(preconditioningOf(options))}.`,
  );
}

/** Song's constant of the noise rate; the options hold betaD = betaMax - betaMin. Adding up again costs a last digit. */
export function betaMaxOf(options: TrainingOptions): number | undefined {
  const { betaD, betaMin } = scheduleOf(options);
  return betaD === undefined || betaMin === undefined ? undefined : Number((betaD + betaMin).toPrecision(14));
}

/** Rates in the wrong order pass here: the other one may be still to come. `train-options.ts` looks at both. */
function withBetas(options: TrainingOptions, name: string, change: { betaMin?: number; betaMax?: number }) {
  requireConstant(options, name, 'betaD', vpNames);
  const { betaMin = scheduleOf(options).betaMin!, betaMax = betaMaxOf(options)! } = change;
  return withSchedule(options, { betaMin, betaD: Number((betaMax - betaMin).toPrecision(14)) });
}

const vpNames = 'vp, sub-vp';

function withObjective(options: TrainingOptions, kind: TrainingOptions['objective']['kind']): TrainingOptions {
  if (kind === options.objective.kind) return options;
  return { ...options, objective: kind === 'dsm' ? { kind } : presets.quickstart.objective };
}

function withConditioning(options: TrainingOptions, isConditional: boolean): TrainingOptions {
  const { classes } = dataShape(options.data);
  if (isConditional && classes === 0)
    throw new UsageError(`--cond needs classes, and ${dataName(options.data)} has none.`);
  return withNetwork(options, { ...networkOf(options), labelDim: isConditional ? classes : 0 });
}

/** Hiding a class takes a network that is told one. */
function withLabelDropout(options: TrainingOptions, labelDropout: number): TrainingOptions {
  const network = networkOf(options);
  if (labelDropout > 0 && network.labelDim === 0)
    throw new UsageError(`--label-dropout needs a class-conditional network (--cond), got ${labelDropout}.`);
  return withNetwork(options, { ...network, labelDropout });
}

/**
 * Every option of `stf train` that is part of the training options, in the order in which they are applied: data first,
 * since the network follows from it. Names and units are EDM's where EDM has the option.
 */
export const trainFlags: readonly TrainFlag[] = [
  flag('Data', 'data', {
    kind: choice('NAME', dataNames),
    help: `Data set: ${dataNames.join(', ')}`,
    get: ({ data }) => dataName(data),
    set: withData,
  }),
  flag('Data', 'max-images', {
    kind: count,
    help: 'Train on the first INT images, or on INT points',
    get: ({ data }) => (data.kind === 'toy' ? data.length : (data.maxImages ?? undefined)),
    set: (options, value) => ({
      ...options,
      data: options.data.kind === 'toy' ? { ...options.data, length: value } : { ...options.data, maxImages: value },
    }),
  }),
  flag('Data', 'dimension', {
    kind: count,
    help: 'Coordinates of a point; two-gaussians takes any number, the other sets have 2',
    get: ({ data }) => (data.kind === 'toy' ? data.dimension : undefined),
    set: (options, value) => {
      if (options.data.kind !== 'toy')
        throw new UsageError(`--dimension is an option of sets of points, and the data are ${dataName(options.data)}.`);
      return { ...options, data: { ...options.data, dimension: value } };
    },
  }),
  flag('Data', 'resolution', {
    kind: count,
    help: 'Height and width of the images, checked against the data',
    get: ({ data }) => dataShape(data).sampleShape[2],
    set: (options, value) => {
      const found = dataShape(options.data).sampleShape[2];
      if (value === found) return options;
      throw new UsageError(
        `--resolution must be that of the data, ${found ?? 'and points have none'}, got ${value}. Images are not scaled.`,
      );
    },
  }),

  flag('Network', 'arch', {
    kind: choice(archNames.join('|'), archNames),
    help: 'Network: the U-Nets DDPM++, NCSN++ and ADM for images, a perceptron for points',
    get: archOf,
    set: withArch,
  }),
  flag('Network', 'cond', {
    kind: toggle,
    help: 'Train a class-conditional network',
    offHelp: 'Train without classes',
    get: (options) => networkOf(options).labelDim > 0,
    set: withConditioning,
    show: yesOrNo,
  }),
  flag('Network', 'label-dropout', {
    kind: number('P', { min: 0, below: 1 }),
    help: 'With --cond: probability of hiding the class, for guidance',
    get: (options) => networkOf(options).labelDropout,
    set: withLabelDropout,
  }),
  flag('Network', 'cbase', {
    kind: count,
    help: 'U-Nets: channels of the first level',
    get: (options) => unetOf(options)?.modelChannels,
    set: (options, value) => withUNet(options, 'cbase', { modelChannels: value }),
  }),
  flag('Network', 'cres', {
    kind: integers('LIST'),
    help: 'U-Nets: channels of each level, in units of --cbase',
    get: (options) => unetOf(options)?.channelMult,
    set: (options, value) => withUNet(options, 'cres', { channelMult: value }),
  }),
  flag('Network', 'attn', {
    kind: integers('LIST', { canBeEmpty: true }),
    help: 'U-Nets: resolutions at which blocks attend',
    get: (options) => unetOf(options)?.attentionResolutions,
    set: (options, value) => withUNet(options, 'attn', { attentionResolutions: value }),
    show: (value) => value.join(',') || 'none',
  }),
  flag('Network', 'width', {
    kind: count,
    help: 'mlp: width of the layers',
    get: (options) => mlpOf(options)?.width,
    set: (options, value) => withMlp(options, 'width', { width: value }),
  }),
  flag('Network', 'blocks', {
    kind: count,
    help: 'Residual blocks, for U-Nets of each level',
    get: (options) => networkOf(options).blocks,
    set: (options, value) => withNetwork(options, { ...networkOf(options), blocks: value }),
  }),
  flag('Network', 'dropout', {
    kind: number('P', { min: 0, below: 1 }),
    help: 'Probability of dropping an activation',
    get: (options) => networkOf(options).dropout,
    set: (options, value) => withNetwork(options, { ...networkOf(options), dropout: value }),
  }),

  flag('Objective', 'objective', {
    kind: choice('dsm|stf', objectiveNames),
    help: 'Training target: denoising score matching or the stable target field',
    get: ({ objective }) => objective.kind,
    set: withObjective,
  }),
  flag('Objective', 'references', {
    kind: choice('SOURCE', referenceKinds),
    help: `stf: where references come from: ${referenceKinds.join(', ')}`,
    get: (options) => stableOf(options)?.references.kind,
    set: withReferences,
  }),
  flag('Objective', 'reference-batch', {
    kind: count,
    help: 'stf: references, the mini-batch included; of each class for class-bank, beside the neighbours for nearest',
    range: '>=batch for fresh and bank',
    get: (options) => countOf(stableOf(options)?.references ?? { kind: 'batch' }),
    set: withReferenceBatch,
  }),
  flag('Objective', 'neighbours', {
    kind: count,
    help: 'stf with --references nearest: neighbours of each image',
    get: (options) => {
      const references = stableOf(options)?.references;
      return references?.kind === 'nearest' ? references.neighbours : undefined;
    },
    set: withNeighbours,
  }),
  flag('Objective', 'gate', {
    kind: orWord(sigmaRange('MIN,MAX'), 'none'),
    help: 'stf: use the stable target at noise levels from MIN to MAX only, the clean image elsewhere',
    get: (options) => stableOf(options)?.gate,
    set: withGate,
    show: (gate) => `${gate?.sigmaMin},${gate?.sigmaMax}`,
  }),
  flag('Objective', 'mix-labels', {
    kind: toggle,
    help: 'stf with --cond: average over references of other classes as well (biased)',
    offHelp: 'Average over references of the class only',
    get: (options) => stableOf(options)?.mixLabels,
    set: withMixedLabels,
    show: yesOrNo,
  }),
  flag('Objective', 'precond', {
    kind: choice('NAME', formulationNames),
    help: `Process and preconditioning, with the noise levels that belong to them: ${formulationNames.join(', ')}`,
    get: (options) => formulationOf(preconditioningOf(options)),
    set: withFormulation,
  }),
  flag('Objective', 'output', {
    kind: choice('FORM', outputForms),
    help: `What the network gives: ${outputForms.join(', ')}; left out: as published, epsilon for sub-vp, velocity for flow`,
    get: (options) => outputOf(preconditioningOf(options)),
    set: withOutputForm,
  }),
  flag('Objective', 'weighting', {
    kind: choice('FORM', weightings),
    help: `Whose squared error the loss is: the network's own output (network) or ${outputForms.join(', ')}`,
    get: ({ weighting }) => weighting,
    set: (options, weighting) => ({ ...options, weighting }),
  }),
  flag('Objective', 'beta-min', {
    kind: number('FLOAT', { above: 0 }),
    help: `${vpNames}: noise rate at time 0`,
    range: '>0, <beta-max',
    get: (options) => scheduleOf(options).betaMin,
    set: (options, betaMin) => withBetas(options, 'beta-min', { betaMin }),
  }),
  flag('Objective', 'beta-max', {
    kind: number('FLOAT', { above: 0 }),
    help: `${vpNames}: noise rate at time 1`,
    range: '>beta-min',
    get: betaMaxOf,
    set: (options, betaMax) => withBetas(options, 'beta-max', { betaMax }),
  }),
  scheduleFlag('epsilon-t', 'epsilonT', {
    kind: number('FLOAT', { above: 0, below: 0.5 }),
    help: 'smallest time that is trained; flow stays as far from time 1',
    formulations: 'vp, sub-vp, flow',
  }),
  scheduleFlag('process-sigma-min', 'sigmaMin', {
    kind: number('FLOAT', { above: 0 }),
    help: 'smallest noise level that is trained',
    formulations: 've, or edm with --output',
  }),
  scheduleFlag('process-sigma-max', 'sigmaMax', {
    kind: number('FLOAT', { above: 0 }),
    help: 'largest noise level that is trained',
    formulations: 've, or edm with --output',
  }),
  scheduleFlag('noise-steps', 'steps', {
    kind: integer('INT', { min: 2 }),
    help: 'steps of the discrete schedule, in which the network is told the time',
    formulations: 'vp, sub-vp, iddpm',
  }),
  scheduleFlag('c1', 'c1', {
    kind: number('FLOAT', { above: 0, below: 1 }),
    help: 'smallest ratio of the squared scales of neighbouring steps',
    formulations: 'iddpm',
  }),
  scheduleFlag('c2', 'c2', {
    kind: number('FLOAT', { min: 0 }),
    help: 'offset of the cosine at low noise',
    formulations: 'iddpm',
  }),
  flag('Objective', 'sigma-data', {
    kind: number('FLOAT', { above: 0 }),
    help: 'edm: standard deviation of the data that preconditioning and loss weight assume',
    get: ({ denoiser: { preconditioning } }) =>
      preconditioning.kind === 'edm' ? preconditioning.sigmaData : undefined,
    set: withSigmaData,
  }),
  flag('Objective', 'p-mean', {
    kind: number('FLOAT'),
    help: 'edm: mean of ln(sigma), sigma being the noise level of a sample',
    get: ({ noiseLevels }) => (noiseLevels.kind === 'log-normal' ? noiseLevels.pMean : undefined),
    set: (options, pMean) => withLogNormal(options, 'p-mean', { pMean }),
  }),
  flag('Objective', 'p-std', {
    kind: number('FLOAT', { above: 0 }),
    help: 'edm: standard deviation of ln(sigma)',
    get: ({ noiseLevels }) => (noiseLevels.kind === 'log-normal' ? noiseLevels.pStd : undefined),
    set: (options, pStd) => withLogNormal(options, 'p-std', { pStd }),
  }),

  flag('Optimisation', 'duration', {
    kind: number('MIMG', { above: 0 }),
    help: 'Length of training, in million images',
    onResume: true,
    get: ({ durationKimg }) => durationKimg / 1000,
    set: (options, value) => ({ ...options, durationKimg: value * 1000 }),
  }),
  flag('Optimisation', 'batch', {
    kind: count,
    help: 'Images a step',
    get: ({ batch }) => batch,
    set: (options, batch) => ({ ...options, batch }),
  }),
  flag('Optimisation', 'rounds', {
    kind: count,
    help: 'Take the batch in INT rounds and add up their gradients, which takes less memory',
    range: 'divides the batch',
    get: ({ rounds }) => rounds,
    set: (options, rounds) => ({ ...options, rounds }),
  }),
  flag('Optimisation', 'lr', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Learning rate of Adam',
    onResume: true,
    get: ({ learningRate }) => learningRate,
    set: (options, learningRate) => ({ ...options, learningRate }),
  }),
  flag('Optimisation', 'lr-ramp', {
    kind: number('KIMG', { min: 0 }),
    help: 'Raise the learning rate from 0 over so many thousand images',
    onResume: true,
    get: ({ learningRateRampKimg }) => learningRateRampKimg,
    set: (options, learningRateRampKimg) => ({ ...options, learningRateRampKimg }),
  }),
  flag('Optimisation', 'beta1', {
    kind: number('FLOAT', { min: 0, below: 1 }),
    help: 'Adam: what its average of gradients keeps a step',
    get: ({ adam }) => adam.beta1,
    set: (options, beta1) => ({ ...options, adam: { ...options.adam, beta1 } }),
  }),
  flag('Optimisation', 'beta2', {
    kind: number('FLOAT', { min: 0, below: 1 }),
    help: 'Adam: what its average of squared gradients keeps a step',
    get: ({ adam }) => adam.beta2,
    set: (options, beta2) => ({ ...options, adam: { ...options.adam, beta2 } }),
  }),
  flag('Optimisation', 'ema', {
    kind: number('KIMG', { min: 0 }),
    help: 'Half-life of the moving average of the weights, in thousand images',
    get: ({ ema }) => ema.halfLifeKimg,
    set: (options, halfLifeKimg) => ({ ...options, ema: { ...options.ema, halfLifeKimg } }),
  }),
  flag('Optimisation', 'ema-ramp', {
    kind: orWord(number('RATIO', { min: 0 }), 'none'),
    help: 'The half-life is at most this share of the images seen',
    get: ({ ema }) => ema.rampUpRatio,
    set: (options, rampUpRatio) => ({ ...options, ema: { ...options.ema, rampUpRatio } }),
  }),
  flag('Optimisation', 'ls', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Factor on the loss before gradients are taken',
    get: ({ lossScaling }) => lossScaling,
    set: (options, lossScaling) => ({ ...options, lossScaling }),
  }),
  flag('Optimisation', 'seed', {
    kind: integer('INT', { min: 0 }),
    help: 'Seed of everything that is random',
    get: ({ seed }) => seed,
    set: (options, seed) => ({ ...options, seed }),
  }),

  flag('Output', 'tick', {
    kind: number('KIMG', { above: 0 }),
    help: 'Thousand images between lines of progress',
    onResume: true,
    get: ({ kimgPerTick }) => kimgPerTick,
    set: (options, kimgPerTick) => ({ ...options, kimgPerTick }),
  }),
  flag('Output', 'snap', {
    kind: orWord(integer('TICKS', { min: 1 }), 'end'),
    help: 'Ticks between checkpoints; there is always one at the end',
    onResume: true,
    get: ({ checkpointTicks }) => checkpointTicks,
    set: (options, checkpointTicks) => ({ ...options, checkpointTicks }),
  }),
  flag('Output', 'sample-ticks', {
    kind: orWord(integer('TICKS', { min: 1 }), 'end'),
    help: 'Ticks between pictures of samples; there is always one at the end',
    onResume: true,
    get: ({ sampleTicks }) => sampleTicks,
    set: (options, sampleTicks) => ({ ...options, sampleTicks }),
  }),
  flag('Output', 'samples', {
    kind: count,
    help: 'Samples in a picture',
    onResume: true,
    get: ({ samples }) => samples.count,
    set: (options, value) => ({ ...options, samples: { ...options.samples, count: value } }),
  }),
  flag('Output', 'steps', {
    kind: integer('INT', { min: 2 }),
    help: 'Sampler steps; the cost of a sample is 2 INT - 1 network evaluations',
    onResume: true,
    get: ({ samples }) => samples.steps,
    set: (options, steps) => ({ ...options, samples: { ...options.samples, steps } }),
  }),
  flag('Output', 'sigma-min', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Smallest noise level of the sampler',
    range: '>0, <sigma-max',
    onResume: true,
    get: ({ samples }) => samples.sigmaMin,
    set: (options, sigmaMin) => ({ ...options, samples: { ...options.samples, sigmaMin } }),
  }),
  flag('Output', 'sigma-max', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Largest noise level of the sampler',
    range: '>sigma-min',
    onResume: true,
    get: ({ samples }) => samples.sigmaMax,
    set: (options, sigmaMax) => ({ ...options, samples: { ...options.samples, sigmaMax } }),
  }),
  flag('Output', 'rho', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Exponent of the noise levels of the sampler; larger puts more steps at low noise',
    onResume: true,
    get: ({ samples }) => samples.rho,
    set: (options, rho) => ({ ...options, samples: { ...options.samples, rho } }),
  }),
];

/** The configuration of the network if it is a U-Net. */
function unetOf(options: TrainingOptions): UNetConfig | undefined {
  const network = networkOf(options);
  return network.kind === 'mlp' ? undefined : network;
}

/** The configuration of the network if it is a perceptron. */
function mlpOf(options: TrainingOptions): MlpConfig | undefined {
  const network = networkOf(options);
  return network.kind === 'mlp' ? network : undefined;
}

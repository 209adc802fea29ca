import { UsageError } from '../../errors.ts';
import { adm, ddpmpp, ncsnpp } from '../../networks/index.ts';
import type { DhariwalUNetConfig, MlpConfig, NetworkConfig, SongUNetConfig } from '../../networks/index.ts';
import { archName } from '../../node/run-reader.ts';
import { dataName, dataShape } from '../../node/training-data.ts';
import { presets } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { choice, integers, number } from '../values.ts';
import { count, flag, toggle, yesOrNo } from './flag.ts';
import type { TrainFlag } from './flag.ts';

const archNames = ['ddpmpp', 'ncsnpp', 'adm', 'mlp'] as const;

const networkOf = ({ denoiser }: TrainingOptions): NetworkConfig => denoiser.network;
const archOf = (options: TrainingOptions): (typeof archNames)[number] => archName(networkOf(options));
const withNetwork = (options: TrainingOptions, network: NetworkConfig): TrainingOptions => ({
  ...options,
  denoiser: { ...options.denoiser, network },
});

type UNetConfig = SongUNetConfig | DhariwalUNetConfig;

/** What every U-Net has, whatever its architecture: its size and what it is told. */
type UNetSize = Omit<UNetConfig, 'kind' | 'outChannels'>;

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

/** The network. */
export const networkFlags: readonly TrainFlag[] = [
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
];

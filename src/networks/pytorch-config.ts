import { FormatError, UsageError } from '../errors.ts';
import type { NetworkConfig } from './build.ts';
import type { DhariwalUNetConfig } from './dhariwal-unet.ts';
import { requireFilter } from './resample-filter.ts';
import type { SongUNetConfig } from './song-unet.ts';

/** Keyword arguments as a PyTorch checkpoint records them. */
export type PyTorchKwargs = Readonly<Record<string, unknown>>;

/**
 * The preconditioner classes of Karras et al. 2022: which network they wrap unless told otherwise, and which of their
 * arguments are their own and say nothing about the network.
 */
const preconditioners: Readonly<Record<string, { modelType: string; own: readonly string[] }>> = {
  EDMPrecond: { modelType: 'DhariwalUNet', own: ['use_fp16', 'sigma_min', 'sigma_max', 'sigma_data'] },
  VPPrecond: { modelType: 'SongUNet', own: ['use_fp16', 'beta_d', 'beta_min', 'M', 'epsilon_t'] },
  VEPrecond: { modelType: 'SongUNet', own: ['use_fp16', 'sigma_min', 'sigma_max'] },
  iDDPMPrecond: { modelType: 'DhariwalUNet', own: ['use_fp16', 'C_1', 'C_2', 'M'] },
};

/**
 * Turns the arguments that a PyTorch checkpoint was constructed with into our configuration of the network inside.
 * Arguments that were left out have the defaults of the reference classes (training/networks.py of Karras et al. 2022).
 *
 * @param constructor  class name of the preconditioner, such as `EDMPrecond`
 * @param kwargs       its arguments, those that it passes on to the network included
 * @returns            the network; the preconditioner's own arguments are left to the caller
 * @throws UsageError for a class, network or argument that is not known here, and for a value of the wrong kind
 * @throws FormatError for a value that no network has: a width or a list beyond all bounds, a filter that sums to 0
 */
export function networkConfigFromPyTorch(constructor: string, kwargs: PyTorchKwargs): NetworkConfig {
  const preconditioner = Object.hasOwn(preconditioners, constructor) ? preconditioners[constructor] : undefined;
  if (!preconditioner) {
    throw new UsageError(
      `the preconditioner ${JSON.stringify(constructor)} is not known. Known are: ${Object.keys(preconditioners).join(', ')}.`,
    );
  }
  const { model_type: modelType = preconditioner.modelType, ...rest } = kwargs;
  const ofNetwork = Object.fromEntries(Object.entries(rest).filter(([name]) => !preconditioner.own.includes(name)));
  // The second one is a variance, which the preconditioner drops.
  const outputs = constructor === 'iDDPMPrecond' ? 2 : 1;
  switch (modelType) {
    case 'SongUNet':
      return songUNetFromPyTorch(ofNetwork, outputs);
    case 'DhariwalUNet':
      return dhariwalUNetFromPyTorch(ofNetwork, outputs);
    default:
      throw new UsageError(`the network ${JSON.stringify(modelType)} is not known. Known are: SongUNet, DhariwalUNet.`);
  }
}

/**
 * Arguments of the reference SongUNet, and what they are called here.
 *
 * @param outputs  numbers that the preconditioner takes for each one that goes in
 */
function songUNetFromPyTorch(kwargs: PyTorchKwargs, outputs: number): SongUNetConfig {
  const read = argumentsOf('SongUNet', kwargs);
  const channels = read.count('img_channels');
  const config: SongUNetConfig = {
    kind: 'song-unet',
    resolution: read.count('img_resolution'),
    channels,
    ...(outputs > 1 && { outChannels: outputs * channels }),
    labelDim: read.count('label_dim', 0),
    augmentDim: read.count('augment_dim', 0),
    modelChannels: read.count('model_channels', 128),
    channelMult: read.counts('channel_mult', [1, 2, 2, 2]),
    channelMultEmbedding: read.count('channel_mult_emb', 4),
    blocks: read.count('num_blocks', 4),
    attentionResolutions: read.counts('attn_resolutions', [16]),
    dropout: read.number('dropout', 0.1),
    labelDropout: read.number('label_dropout', 0),
    embedding: read.choice('embedding_type', ['positional', 'fourier']),
    channelMultNoise: read.count('channel_mult_noise', 1),
    encoder: read.choice('encoder_type', ['standard', 'skip', 'residual']),
    decoder: read.choice('decoder_type', ['standard', 'skip']),
    resampleFilter: requireFilter('SongUNet: argument "resample_filter"', read.numbers('resample_filter', [1, 1])),
  };
  read.end();
  return config;
}

/**
 * Arguments of the reference DhariwalUNet, and what they are called here.
 *
 * @param outputs  numbers that the preconditioner takes for each one that goes in
 */
function dhariwalUNetFromPyTorch(kwargs: PyTorchKwargs, outputs: number): DhariwalUNetConfig {
  const read = argumentsOf('DhariwalUNet', kwargs);
  const channels = read.count('img_channels');
  const config: DhariwalUNetConfig = {
    kind: 'dhariwal-unet',
    resolution: read.count('img_resolution'),
    channels,
    outChannels: outputs * channels,
    labelDim: read.count('label_dim', 0),
    augmentDim: read.count('augment_dim', 0),
    modelChannels: read.count('model_channels', 192),
    channelMult: read.counts('channel_mult', [1, 2, 3, 4]),
    channelMultEmbedding: read.count('channel_mult_emb', 4),
    blocks: read.count('num_blocks', 3),
    attentionResolutions: read.counts('attn_resolutions', [32, 16, 8]),
    dropout: read.number('dropout', 0.1),
    labelDropout: read.number('label_dropout', 0),
  };
  read.end();
  return config;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isCount = (value: unknown): value is number => isNumber(value) && Number.isInteger(value) && value >= 0;

/*
 * Bounds far beyond every network, so that nothing is sized by a file's numbers before they have been compared with its
 * tensors.
 */
const largestCount = 1_000_000;
const longestList = 64;

/** @throws FormatError for more or larger counts than the bounds */
function requireBounded(what: string, counts: readonly number[]): void {
  if (counts.length > longestList)
    throw new FormatError(`${what} must have at most ${longestList} numbers, got ${counts.length}`);
  const beyond = counts.find((each) => each > largestCount);
  if (beyond !== undefined) throw new FormatError(`${what} must be at most ${largestCount}, got ${beyond}`);
}

/** Reads arguments one by one, checks each, and knows at the end which were never asked for. */
function argumentsOf(owner: string, kwargs: PyTorchKwargs) {
  const asked = new Set<string>();
  const take = <T>(name: string, fallback: T | undefined, accepts: (value: unknown) => value is T, kind: string): T => {
    asked.add(name);
    const value = kwargs[name] ?? fallback;
    if (accepts(value)) return value;
    const found = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
    throw new UsageError(`${owner}: argument "${name}" must be ${kind}, got ${found}.`);
  };
  const listOf =
    (accepts: (value: unknown) => value is number) =>
    (value: unknown): value is readonly number[] =>
      Array.isArray(value) && value.every(accepts);
  return {
    count: (name: string, fallback?: number): number => {
      const value = take(name, fallback, isCount, 'an integer of at least 0');
      requireBounded(`${owner}: argument "${name}"`, [value]);
      return value;
    },
    number: (name: string, fallback?: number) => take(name, fallback, isNumber, 'a number'),
    counts: (name: string, fallback: readonly number[]): readonly number[] => {
      const values = take(name, fallback, listOf(isCount), 'a list of integers of at least 0');
      requireBounded(`${owner}: argument "${name}"`, values);
      return values;
    },
    numbers: (name: string, fallback: readonly number[]) => take(name, fallback, listOf(isNumber), 'a list of numbers'),
    /** One of some names, the first of which is the default. */
    choice: <T extends string>(name: string, allowed: readonly [T, ...T[]]): T =>
      take(
        name,
        allowed[0],
        (value): value is T => (allowed as readonly unknown[]).includes(value),
        `one of ${allowed.join(', ')}`,
      ),
    end: (): void => {
      const unknown = Object.keys(kwargs).find((name) => !asked.has(name));
      if (unknown) {
        throw new UsageError(
          `${owner}: the argument ${JSON.stringify(unknown)} is not known. Known are: ${[...asked].join(', ')}.`,
        );
      }
    },
  };
}

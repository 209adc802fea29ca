import { makeDenoiser } from '../diffusion/index.ts';
import { ShapeError, UsageError } from '../errors.ts';
import { input } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { parameterTable } from '../nn/index.ts';
import { archName } from '../node/run-reader.ts';
import { dataName, dataShape, toyKindOf } from '../node/training-data.ts';
import { parseTrainingOptions, presets } from '../training/index.ts';
import type { PresetName, TrainingOptions } from '../training/index.ts';
import { betaMaxOf, scheduleOf, trainFlags } from './train-flags/index.ts';

/** Options of `stf train` that the user typed, by name without dashes. */
export type GivenFlags = ReadonlyMap<string, string>;

/** The preset that is meant when none is named: points call for another one than images. */
const presetFor = (given: GivenFlags): PresetName =>
  toyKindOf(given.get('data') ?? '') === undefined ? 'quickstart' : 'toy-2d';

/**
 * The options of a new run: a preset, and on top of it what the user typed.
 *
 * @throws UsageError naming the option, its value and what would work
 */
export function newRunOptions(preset: PresetName | undefined, given: GivenFlags): TrainingOptions {
  return checked(apply(presets[preset ?? presetFor(given)], given));
}

/**
 * The options of a run that is resumed: its own, and on top of them what the user typed, if that may change.
 *
 * @throws UsageError also for an option that would make it another run
 */
export function resumedRunOptions(own: TrainingOptions, given: GivenFlags): TrainingOptions {
  for (const flag of trainFlags) {
    const text = given.get(flag.name);
    if (text === undefined || flag.onResume) continue;
    const wanted = flag.show(flag.set(own, text));
    if (wanted !== flag.show(own)) {
      throw new UsageError(
        `--${flag.name} can't be changed when a run is resumed: it is ${flag.show(own) ?? 'not set'}, got ${text}.`,
      );
    }
  }
  return checked(apply(own, given));
}

function apply(base: TrainingOptions, given: GivenFlags): TrainingOptions {
  return trainFlags.reduce((options, flag) => {
    const text = given.get(flag.name);
    return text === undefined ? options : flag.set(options, text);
  }, base);
}

/** Makes the network fit the data, and checks everything that can be checked without reading data. */
function checked(options: TrainingOptions): TrainingOptions {
  checkSchedule(options);
  const fitted = parseTrainingOptions(fitToData(options));
  checkLength(fitted);
  checkAttention(fitted);
  checkNetwork(fitted);
  return fitted;
}

/** Constants that have an order. */
function checkSchedule(options: TrainingOptions): void {
  const { betaD, betaMin, sigmaMin, sigmaMax } = scheduleOf(options);
  if (betaD !== undefined && !(betaD > 0))
    throw new UsageError(`--beta-min must be below --beta-max, got ${betaMin} and ${betaMaxOf(options)}.`);
  if (sigmaMin !== undefined && sigmaMax !== undefined && !(sigmaMin < sigmaMax))
    throw new UsageError(
      `--process-sigma-min must be below --process-sigma-max, got ${sigmaMin} and ${sigmaMax}. Are they swapped?`,
    );
}

function checkLength({ data }: TrainingOptions): void {
  const { length } = dataShape(data);
  if (data.kind === 'cifar10' && data.maxImages !== null && data.maxImages > length) {
    throw new UsageError(
      `--max-images must be at most ${length}, the size of ${dataName(data)}, got ${data.maxImages}.`,
    );
  }
}

function fitToData(options: TrainingOptions): TrainingOptions {
  const { sampleShape } = dataShape(options.data);
  const { network } = options.denoiser;
  if (network.kind === 'mlp')
    return { ...options, denoiser: { ...options.denoiser, network: { ...network, sampleShape } } };
  const [channels, , resolution] = sampleShape;
  if (resolution === undefined) {
    throw new UsageError(
      `--arch ${archName(network)} needs images, and the data set ${dataName(options.data)} has points. Choose --arch mlp or --preset toy-2d.`,
    );
  }
  const fitted =
    network.kind === 'dhariwal-unet'
      ? { ...network, channels, resolution, outChannels: (network.outChannels / network.channels) * channels }
      : { ...network, channels, resolution };
  return { ...options, denoiser: { ...options.denoiser, network: fitted } };
}

/** A resolution that the network does not have, or that is too narrow for a head, would silently be no attention. */
function checkAttention({ denoiser: { network } }: TrainingOptions): void {
  if (network.kind === 'mlp') return;
  const levels = network.channelMult.map((_, level) => network.resolution / 2 ** level);
  const unknown = network.attentionResolutions.find((resolution) => !levels.includes(resolution));
  if (unknown !== undefined)
    throw new UsageError(
      `--attn: the network has no level of resolution ${unknown}. Choose from: ${levels.join(', ')}, none.`,
    );
  if (network.kind !== 'dhariwal-unet') return;
  const widthAt = (resolution: number): number =>
    network.modelChannels * network.channelMult[levels.indexOf(resolution)];
  const narrow = network.attentionResolutions.find((resolution) => widthAt(resolution) < 64);
  if (narrow !== undefined)
    throw new UsageError(
      `--attn: adm attends with a head for every 64 channels, and has ${widthAt(narrow)} at resolution ${narrow}. Choose a larger --cbase, or --attn none.`,
    );
}

/** Widths that do not divide into groups, and the like, show when the network is built. */
function checkNetwork(options: TrainingOptions): void {
  try {
    countParameters(options);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ShapeError)) throw error;
    const chosen = trainFlags
      .filter(({ name, group }) => group === 'Network' && !['cond', 'label-dropout'].includes(name))
      .flatMap((flag) => {
        const value = flag.show(options);
        return value === undefined ? [] : [`--${flag.name} ${value}`];
      });
    throw new UsageError(`no network can be built from ${chosen.join(' ')}: ${error.message}`);
  }
}

/**
 * Trained parameters of the network, found by building it.
 *
 * @throws UsageError or ShapeError when its options do not fit together
 */
export function countParameters({ denoiser }: TrainingOptions): number {
  const sampleShape = sampleShapeOf(denoiser.network);
  const table = parameterTable((source) => {
    makeDenoiser(source, denoiser)(input('x', [1, ...sampleShape]), input('sigma', [1]));
  });
  return table.trained;
}

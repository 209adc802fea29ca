import { toyKindOf } from '../data/toy.ts';
import { makeDenoiser, preconditioningName, sigmaRange } from '../diffusion/index.ts';
import { ShapeError, UsageError } from '../errors.ts';
import { input } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { parameterTable } from '../nn/index.ts';
import { restrictsClass } from '../objective/index.ts';
import { archName } from '../node/run-reader.ts';
import { isPointPath } from '../node/dataset/point-file.ts';
import { dataName, dataShape } from '../node/training-data.ts';
import {
  formulationOf,
  largestSigma,
  largestTrainedSigma,
  OptionError,
  parseTrainingOptions,
  presets,
} from '../training/index.ts';
import type { FormulationName, PresetName, TrainingOptions } from '../training/index.ts';
import { withinRange } from '../sampling/index.ts';
import { betaMaxOf, scheduleOf, trainFlags } from './train-flags/index.ts';

/** Options of `stf train` that the user typed, by name without dashes. */
export type GivenFlags = ReadonlyMap<string, string>;

/** The preset that is meant when none is named: points call for another one than images. */
const presetFor = (given: GivenFlags): PresetName =>
  toyKindOf(given.get('data') ?? '') !== undefined || isPointPath(given.get('data') ?? '') ? 'toy-2d' : 'quickstart';

/**
 * The options of a new run: a preset, and on top of it what the user typed.
 *
 * @throws UsageError naming the option, its value and what would work
 */
export function newRunOptions(preset: PresetName | undefined, given: GivenFlags): TrainingOptions {
  return made(presets[preset ?? presetFor(given)], given);
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
  return made(own, given);
}

/**
 * The options of a new run that begins with a checkpoint: those of the checkpoint, and on top of them what the user typed.
 *
 * @throws UsageError also for an option that would make it another network, dropout apart
 */
export function continuedOptions(own: TrainingOptions, given: GivenFlags): TrainingOptions {
  for (const flag of trainFlags) {
    const text = given.get(flag.name);
    if (text === undefined || flag.group === 'Data') continue;
    if (denoiserOf(flag.set(own, text)) !== denoiserOf(own))
      throw new UsageError(
        `--${flag.name} can't be changed when training goes on from a checkpoint: it is ${flag.show(own) ?? 'not set'}, got ${text}.`,
      );
  }
  const options = apply(own, given);
  const [needed, found] = [sampleShapeOf(own.denoiser.network), dataShape(options.data).sampleShape];
  if (needed.join() !== found.join())
    throw new UsageError(
      `--data ${dataName(options.data)}: the network of the checkpoint is for samples of shape [${needed.join(', ')}], and these have [${found.join(', ')}].`,
    );
  return made(own, given);
}

/** Options with what was typed, checked. What the library says of an option is said of what was typed for it. */
function made(base: TrainingOptions, given: GivenFlags): TrainingOptions {
  try {
    return checked(apply(base, given));
  } catch (error) {
    if (error instanceof OptionError) {
      const name = flagOf(error.path, base, given);
      if (name !== undefined) throw new UsageError(`--${name} ${error.reason}, got ${given.get(name)}.`);
    }
    // Of a set of points, not of an option's value.
    if (error instanceof UsageError && /^toy data set [\w-]+: dimension must be /.test(error.message))
      throw new UsageError(`--dimension${error.message.replace(/^.*?: dimension/, '')}`);
    throw error;
  }
}

/** The flag that was typed for the option at a path: the last that changed it. */
function flagOf(path: readonly PropertyKey[], base: TrainingOptions, given: GivenFlags): string | undefined {
  const valueIn = (options: unknown): unknown =>
    JSON.stringify(path.reduce((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], options));
  let found: string | undefined;
  trainFlags.reduce((options, flag) => {
    const text = given.get(flag.name);
    if (text === undefined) return options;
    const changed = flag.set(options, text);
    if (valueIn(changed) !== valueIn(options)) found = flag.name;
    return changed;
  }, base);
  return found;
}

/** Network and preconditioning as text, but for what only training asks for. */
const denoiserOf = ({ denoiser: { network, preconditioning } }: TrainingOptions): string =>
  JSON.stringify([{ ...network, dropout: 0, labelDropout: 0 }, preconditioning]);

function apply(base: TrainingOptions, given: GivenFlags): TrainingOptions {
  return trainFlags.reduce((options, flag) => {
    const text = given.get(flag.name);
    return text === undefined ? options : flag.set(options, text);
  }, base);
}

/** Makes the network fit the data, and checks everything that can be checked without reading data. */
function checked(options: TrainingOptions): TrainingOptions {
  checkSchedule(options);
  const fitted = parseTrainingOptions(fitToData(withKnownLevels(options)));
  checkLength(fitted);
  checkNeighbours(fitted);
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
  // After those of the process, which the sampler follows where nothing else is typed.
  const { samples } = options;
  if (samples.sigmaMin >= samples.sigmaMax)
    throw new UsageError(
      `--sigma-min must be below --sigma-max, got ${samples.sigmaMin} and ${samples.sigmaMax}. Are they swapped?`,
    );
  const largest = largestTrainedSigma(options);
  if (!(largest <= largestSigma)) {
    const flags = levelFlags[formulationOf(options.denoiser.preconditioning)];
    throw new UsageError(
      `${flags}: the largest noise level that is trained must be at most ${largestSigma}, got ${Number(largest.toPrecision(4))}. ` +
        'Float32 keeps seven digits: nothing of the data is left in such noise.',
    );
  }
}

/** What the largest noise level of a formulation depends on. */
const levelFlags: Readonly<Record<FormulationName, string>> = {
  edm: '--p-mean, --p-std or --process-sigma-max',
  vp: '--beta-max',
  ve: '--process-sigma-max',
  iddpm: '--c1, --c2 or --noise-steps',
  'sub-vp': '--beta-max',
  flow: '--epsilon-t',
};

/**
 * A sampler that stays within the noise levels that the network is trained for.
 *
 * @throws UsageError when nothing of its range is left
 */
function withKnownLevels(options: TrainingOptions): TrainingOptions {
  const { samples, denoiser } = options;
  const known = sigmaRange(denoiser.preconditioning);
  if (samples.sigmaMin < samples.sigmaMax && !(samples.sigmaMin < known.max && samples.sigmaMax > known.min))
    throw new UsageError(
      `--sigma-min and --sigma-max must overlap with the noise levels that are trained, ${known.min} to ${known.max}, got ${samples.sigmaMin} and ${samples.sigmaMax}.`,
    );
  return { ...options, samples: { ...samples, ...withinRange(samples, known) } };
}

/** What was typed and could not be followed, in sentences. */
export function notesOn(options: TrainingOptions, given: GivenFlags): string[] {
  const { samples, denoiser } = options;
  const tooMany = noteOnReferences(options, given);
  const typed = [['sigma-min', samples.sigmaMin] as const, ['sigma-max', samples.sigmaMax] as const];
  const clamped = typed.flatMap(([name, value]) => {
    const text = given.get(name);
    if (text === undefined || Number(text) === value) return [];
    return [
      `--${name} ${text}: the network (${preconditioningName(denoiser.preconditioning)}) is not trained for it; taking ${value}.`,
    ];
  });
  return [...clamped, ...tooMany];
}

/** More references than the data have are rows that come again, and each row counts once. */
function noteOnReferences({ data, objective }: TrainingOptions, given: GivenFlags): string[] {
  if (!given.has('reference-batch') || objective.kind !== 'stf') return [];
  const { references } = objective;
  const samples = data.kind === 'toy' ? data.length : (data.maxImages ?? dataShape(data).length);
  if (!(references.kind === 'fresh' || references.kind === 'bank') || references.count <= samples) return [];
  return [
    `--reference-batch ${references.count}: the data have ${samples} samples, and one that comes again counts once. --references all takes every one of them.`,
  ];
}

/** Fewer samples than neighbours show as soon as the length of the data is known; those of a class when they are read. */
function checkNeighbours({ data, objective, denoiser }: TrainingOptions): void {
  if (objective.kind !== 'stf' || objective.references.kind !== 'nearest') return;
  const { length, classes } = dataShape(data);
  const samples = data.kind === 'toy' ? data.length : (data.maxImages ?? length);
  const isOfClass = restrictsClass(objective, denoiser.network.labelDim);
  // The smallest class has at most an equal share.
  const most = isOfClass ? Math.floor(samples / classes) : samples;
  const { neighbours } = objective.references;
  if (neighbours >= most)
    throw new UsageError(
      `--neighbours must be below ${most}, the number of samples ${isOfClass ? 'that the smallest class can have' : 'in the data set'}, got ${neighbours}.`,
    );
}

function checkLength({ data }: TrainingOptions): void {
  const { length } = dataShape(data);
  if (data.kind !== 'toy' && data.maxImages !== null && data.maxImages > length) {
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
    network.outChannels === undefined
      ? { ...network, channels, resolution }
      : { ...network, channels, resolution, outChannels: (network.outChannels / network.channels) * channels };
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

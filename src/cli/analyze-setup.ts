import { join } from 'node:path';
import type { Command } from 'commander';
import { logSpaced, scaleAt } from '../analysis/index.ts';
import type { Dataset } from '../data/dataset.ts';
import { processOf, sigmaRange } from '../diffusion/index.ts';
import type { NoiseLevelConfig, ProcessConfig } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { dataName, dataNames, loadTrainingData } from '../node/training-data.ts';
import type { ReportSubject } from '../report/phase-report.ts';
import type { Runtime } from '../runtime/index.ts';
import { formulations } from '../training/index.ts';
import { deviceOption, textOption, threadsOption, valueOption } from './help.ts';
import { newRunOptions } from './train-options.ts';
import { choice, integer, number } from './values.ts';

/** Processes that an analysis knows, with the noise levels that their networks are trained at. */
export const analyzedProcesses = ['edm', 've', 'vp'] as const;
export type AnalyzedProcess = (typeof analyzedProcesses)[number];

/** What every analysis is asked. */
export interface AnalyzeFlags {
  readonly data?: string;
  readonly maxImages?: number;
  readonly dimension?: number;
  readonly process?: AnalyzedProcess;
  readonly levels?: number;
  readonly sigmaMin?: number;
  readonly sigmaMax?: number;
  readonly images?: number;
  readonly seed?: number;
  readonly dest?: string;
  readonly device?: DeviceChoice;
  readonly threads?: number;
}

/** What an analysis does when it is not told otherwise. */
export interface AnalyzeDefaults {
  readonly name: string;
  readonly levels: number;
  readonly images: number;
  /** Noise levels of an analysis that a process does not change, and which does not ask for one; else the process's. */
  readonly range?: { readonly sigmaMin: number; readonly sigmaMax: number };
}

/** Adds the options that analyses have in common. */
export function withAnalyzeOptions(command: Command, { name, levels, images, range }: AnalyzeDefaults): Command {
  const ends = range ? [String(range.sigmaMin), String(range.sigmaMax)] : ["the process's", "the process's"];
  command
    .addOption(
      textOption(
        '--data',
        'NAME|PATH',
        `Data set: ${dataNames.join(', ')}; or a folder or .zip of PNG images, or a .npy, .npz or .csv of points`,
      ).default(undefined, 'cifar10'),
    )
    .addOption(valueOption('--max-images', integer('INT', { min: 2 }), 'Take the first INT images, or INT points'))
    .addOption(valueOption('--dimension', integer('INT', { min: 1 }), 'Coordinates of a point of two-gaussians'));
  if (!range)
    command.addOption(
      valueOption('--process', choice('NAME', analyzedProcesses), 'Forward process: edm, ve, vp', 'edm'),
    );
  return command
    .addOption(
      valueOption('--levels', integer('INT', { min: 2 }), 'Noise levels, evenly spaced in ln σ', String(levels)),
    )
    .addOption(valueOption('--sigma-min', number('SIGMA', { above: 0 }), 'Smallest noise level', ends[0]))
    .addOption(valueOption('--sigma-max', number('SIGMA', { above: 0 }), 'Largest noise level', ends[1]))
    .addOption(valueOption('--images', integer('INT', { min: 2 }), 'Noisy samples a noise level', String(images)))
    .addOption(valueOption('--seed', integer('INT', { min: 0 }), 'Of sources, noise and references', '0'))
    .addOption(textOption('--dest', 'DIR', 'Folder that the results go to').default(undefined, `analysis/${name}-DATA`))
    .addOption(deviceOption())
    .addOption(threadsOption());
}

/** Everything an analysis works with, checked. */
export interface AnalyzeSetup {
  readonly runtime: Runtime;
  readonly dataset: Dataset;
  readonly subject: ReportSubject;
  readonly sigmas: readonly number[];
  readonly images: number;
  readonly seed: number;
  readonly folder: string;
  /** For options.json. */
  readonly record: object;
  /** How noise levels of training are drawn, by process. */
  readonly trained: readonly { readonly process: string; readonly noiseLevels: NoiseLevelConfig }[];
}

/**
 * Loads the data and lays out the noise levels.
 *
 * @throws UsageError naming the option that is impossible
 */
export async function setUpAnalysis(
  flags: AnalyzeFlags,
  { name, levels: defaultLevels, images: defaultImages, range }: AnalyzeDefaults,
): Promise<AnalyzeSetup> {
  const { data: word = 'cifar10', process: kind = 'edm', seed = 0 } = flags;
  const { levels = defaultLevels, images = defaultImages } = flags;
  const given: [string, string][] = [
    ['data', word],
    ...(flags.maxImages === undefined ? [] : [['max-images', String(flags.maxImages)] as [string, string]]),
    ...(flags.dimension === undefined ? [] : [['dimension', String(flags.dimension)] as [string, string]]),
  ];
  const { data } = newRunOptions(undefined, new Map(given));
  const known = sigmaRange(formulations[kind].preconditioning);
  // EDM's networks know every noise level; its sampler goes from 0.002 to 80.
  const [least, most] = kind === 'edm' ? [0.002, 80] : [known.min, known.max];
  const { sigmaMin = range?.sigmaMin ?? least, sigmaMax = range?.sigmaMax ?? most } = flags;
  if (!(sigmaMin < sigmaMax))
    throw new UsageError(`--sigma-min must be below --sigma-max, got ${sigmaMin} and ${sigmaMax}.`);
  const dataset = await loadTrainingData({ data, seed });
  const runtime = await deviceRuntime({
    device: flags.device,
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  const process = processOf(processConfig(kind, { sigmaMin: least, sigmaMax: most }));
  const folder = flags.dest ?? join('analysis', `${name}-${dataName(data)}`);
  return {
    runtime,
    dataset,
    subject: {
      data: { cifar10: 'CIFAR-10' }[dataName(data)] ?? dataName(data),
      process: kind.toUpperCase(),
      scale: (sigma) => scaleAt(process, sigma),
    },
    sigmas: logSpaced(sigmaMin, sigmaMax, levels),
    images,
    seed,
    folder,
    record: {
      ...{ analysis: name, data, samples: dataset.length, ...(!range && { process: kind }) },
      ...{ levels, sigmaMin, sigmaMax, images, seed },
    },
    trained: analyzedProcesses.map((each) => ({
      process: each.toUpperCase(),
      noiseLevels: formulations[each].noiseLevels,
    })),
  };
}

function processConfig(kind: AnalyzedProcess, range: { sigmaMin: number; sigmaMax: number }): ProcessConfig {
  if (kind !== 'vp') return { kind, ...range };
  return formulations.vp.preconditioning;
}

import { join } from 'node:path';
import { Command } from 'commander';
import type { DeviceChoice } from '../node/devices.ts';
import { formatDuration } from '../node/progress.ts';
import { readStatistics } from '../node/run-reader.ts';
import { targetVariances } from '../node/tick-line.ts';
import { grouped } from '../report/ticks.ts';
import type { TickStatistics } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { fetchDataset } from './dataset.ts';
import { deviceOption, shellPath, suggested, textOption, threadsOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { countOf, stableOf } from './train-flags/index.ts';
import { sample } from './sample.ts';
import { makePlan, runPlan } from './training-run.ts';
import type { TrainingOutcome, TrainingPlan } from './training-run.ts';

interface QuickstartWish {
  readonly outdir: string;
  readonly duration?: string;
  readonly device?: DeviceChoice;
  readonly threads?: number;
}

/** `stf quickstart`, which `npm start` runs. */
export function quickstartCommand(io: Io): Command {
  return new Command('quickstart')
    .summary('fetch CIFAR-10, train for a few minutes, draw samples (npm start)')
    .description(
      'The first ten minutes: fetch CIFAR-10 and verify it, train a small network with the preset quickstart, draw samples ' +
        'from it, and sum up. This is what npm start runs.',
    )
    .addOption(textOption('--outdir', 'DIR', 'Where new run folders are made', 'runs'))
    .addOption(
      textOption('--duration', 'MIMG', 'Length of training, in million images').default(undefined, "the preset's"),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addHelpText('after', '\nExample:\n  stf quickstart')
    .action(async ({ outdir, duration, device, threads }: QuickstartWish) => {
      const given = new Map(duration === undefined ? [] : [['duration', duration]]);
      const plan = await makePlan({ outdir, preset: 'quickstart', given });
      await fetchDataset(io);
      const outcome = await runPlan(plan, { device, threads, io });
      if (!outcome?.finished) return;
      const samples = join(outcome.folder.path, 'samples');
      stopIfInterrupted(io, `training is complete: ${outcome.folder.path}`);
      const seeds = Array.from({ length: 64 }, (_, seed) => seed + 64);
      const { picture } = await sample({ network: outcome.folder.path, outdir: samples, seeds, device, threads }, io);
      const { print } = makeConsole(io);
      const ticks = await readStatistics(outcome.folder.path);
      for (const line of summaryOf(plan, outcome, ticks, picture!)) print(line);
    });
}

/** What was done, where it is, and what to do next. */
function summaryOf(
  { options, parameters }: TrainingPlan,
  outcome: TrainingOutcome,
  ticks: readonly TickStatistics[],
  picture: string,
): string[] {
  const { folder, progress, firstTick, lastTick } = outcome;
  const loss = (tick: typeof lastTick): string => tick?.values['Loss/loss']?.mean.toFixed(3) ?? '?';
  const [dsm, stf] = targetVariances(ticks, 'mid').split('/');
  const [low, high] = options.sigmaRanges;
  const run = shellPath(folder.path);
  const references = countOf(stableOf(options)?.references ?? { kind: 'batch' });
  return [
    '',
    'What was done',
    `  A DDPM++ network of ${grouped(parameters)} parameters saw ${grouped(progress.nimg)} images of CIFAR-10 in ${formatDuration(progress.seconds)}.`,
    `  Its loss went from ${loss(firstTick)} to ${loss(lastTick)}.`,
    `  At noise levels from ${low} to ${high}, the stable target over ${references} references varied by ${stf},`,
    `  that of denoising score matching by ${dsm} (squared, summed over an image; mean over all ticks).`,
    '',
    'Look at',
    `  ${shellPath(picture)}   64 samples`,
    `  ${shellPath(join(folder.path, folder.lastSamples!))}   64 others, and beside it what they looked like earlier in training`,
    '',
    'Next',
    `  ${suggested(`sample --network ${run} --seeds 128-191 --outdir more-samples`)}`,
    `  ${suggested(`train --resume ${run} --duration ${(2 * options.durationKimg) / 1000}`)}`,
    `  ${suggested('train --preset toy-2d --data two-moons')}`,
  ];
}

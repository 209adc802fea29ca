import { Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { presets } from '../training/index.ts';
import type { PresetName, TrainingOptions } from '../training/index.ts';
import { deviceOption, textOption, threadsOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { trainFlags } from './train-flags/index.ts';
import type { GivenFlags } from './train-options.ts';
import { describePlan, makePlan, runPlan } from './training-run.ts';
import { choice, integer } from './values.ts';

const presetNames = Object.keys(presets) as PresetName[];

/** `stf train`. */
export function trainCommand(io: Io): Command {
  const train = new Command('train')
    .summary('train a diffusion model')
    .description('Train a diffusion model with denoising score matching or the stable target field.')
    .optionsGroup('Run:')
    .addOption(textOption('--outdir', 'DIR', 'Where new run folders are made', 'runs'))
    .addOption(
      valueOption(
        '--preset',
        choice('NAME', presetNames),
        `Defaults of all options: ${presetNames.join(', ')} (see below)`,
        'quickstart; toy-2d when --data are points',
      ),
    )
    .addOption(
      textOption(
        '--resume',
        'RUN',
        'Go on with a run: its folder or newest checkpoint; or begin one with a checkpoint, as stf import makes',
      ),
    )
    .addOption(
      new Option('--break-lock', 'With --resume: take the run over from a process on another machine that is gone'),
    )
    .addOption(new Option('--no-tensorboard', 'Do not write event files for TensorBoard'))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(
      valueOption(
        '--workers',
        integer('INT', { min: 0, max: 64 }),
        'Threads that load data ahead of the step; 0: each step loads its own',
        '1; 0 when --data are points',
      ),
    )
    .addOption(new Option('-n, --dry-run', 'Print the resolved options and the number of parameters, and exit'));
  for (const { name, group, valueName, help, offHelp, range } of trainFlags) {
    train.optionsGroup(`${group}:`);
    if (valueName === '') {
      train.addOption(new Option(`--${name}`, help)).addOption(new Option(`--no-${name}`, offHelp));
      // Commander keeps the last of the two alone.
      refuseBoth(train, name);
    } else {
      train.addOption(textOption(`--${name}`, valueName, range === undefined ? help : `${help} [${range}]`));
    }
  }
  train.addHelpText('after', () => `\n${presetTable()}\n\n${resumeNote()}\n\n${exitCodeNote}\n\n${trainExamples}`);
  return train.action(async (_, self: Command) => {
    const { outdir, preset, resume, breakLock, tensorboard, device, threads, workers, dryRun } = self.opts<{
      outdir: string;
      preset?: PresetName;
      resume?: string;
      breakLock?: boolean;
      tensorboard: boolean;
      device?: DeviceChoice;
      threads?: number;
      workers?: number;
      dryRun?: boolean;
    }>();
    const plan = await makePlan({ outdir, preset, resume, given: givenFlags(self) });
    if (dryRun) await describePlan(plan, io);
    else await runPlan(plan, { device, threads, workers, breakLock, tensorBoard: tensorboard, io });
  });
}

const exitCodeNote = `Exit codes: 0 done, or interrupted with Ctrl-C; 1 failed; 2 wrong usage; 74 the state could not be saved;
75 stopped by SIGTERM or SIGUSR1 with the state saved: start it again with --resume. See docs/runs.md.`;

const trainExamples = `Examples:
  stf train --preset toy-2d --data two-moons
  stf train --data cifar10 --arch ddpmpp --cbase 64 --objective stf --reference-batch 2048 --duration 0.1
  stf train --resume runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --duration 0.05
  mpirun -np 4 stf train --preset cifar10-edm-ddpmpp    in four processes: see docs/cluster.md`;

/** Options on one line of the help. */
const namesOnLine = 8;

/** What may change when a run goes on, in lines that fit a terminal. */
function resumeNote(): string {
  const names = trainFlags.filter(({ onResume }) => onResume).map(({ name }) => `--${name}`);
  const lines = Array.from({ length: Math.ceil(names.length / namesOnLine) }, (_, i) =>
    names.slice(i * namesOnLine, (i + 1) * namesOnLine).join(' '),
  );
  return [
    'With --resume these can be changed, and no others:',
    ...lines.map((line) => `  ${line}`),
    'A checkpoint file that lies in no run begins a new one, in which all but its network can be changed.',
  ].join('\n');
}

/** Presets with a column of their own; the others differ from the last of them in a few options. */
const columns = ['quickstart', 'toy-2d', 'cifar10-edm-ddpmpp'] as const satisfies PresetName[];

/** What each preset means, option by option. */
function presetTable(): string {
  const rows = [['Defaults', ...columns] as string[]];
  for (const flag of trainFlags) {
    const values = columns.map((name) => flag.show(presets[name]));
    if (values.some((value) => value !== undefined))
      rows.push([`  --${flag.name}`, ...values.map((value) => value ?? '-')]);
  }
  const like = columns[2];
  const others = presetNames.filter((name) => !(columns as readonly string[]).includes(name));
  const differences = others.map((name) => [`  ${name}`, differenceBetween(presets[like], presets[name])]);
  return `${inColumns(rows)}\n\nLike ${like}, but for:\n${inColumns(differences)}`;
}

/** What one would type to get from one set of options to another: what comes along with an option is left out. */
function differenceBetween(from: TrainingOptions, to: TrainingOptions): string {
  const typed: string[] = [];
  let reached = from;
  for (const flag of trainFlags) {
    const value = flag.show(to);
    if (value === undefined || value === flag.show(reached)) continue;
    typed.push(`--${flag.name} ${value}`);
    reached = flag.set(reached, value);
  }
  return typed.join(' ');
}

/** Rows of a table as lines. */
function inColumns(rows: readonly string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Has a switch refused that is given both ways. */
function refuseBoth(command: Command, name: string): void {
  const typed = new Set<string>();
  for (const way of [name, `no-${name}`])
    command.on(`option:${way}`, () => {
      if (typed.add(way).size > 1) throw new UsageError(`--${name} and --no-${name} are both given: choose one.`);
    });
}

/** The training options that were typed, by name. */
function givenFlags(command: Command): GivenFlags {
  const given = new Map<string, string>();
  for (const { name } of trainFlags) {
    const key = command.options.find((option) => option.long === `--${name}`)!.attributeName();
    if (command.getOptionValueSource(key) === 'cli') given.set(name, String(command.getOptionValue(key)));
  }
  return given;
}

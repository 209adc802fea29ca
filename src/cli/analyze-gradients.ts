import { basename, join } from 'node:path';
import { Argument, Command } from 'commander';
import { UsageError } from '../errors.ts';
import { writeAnalysis } from '../node/analysis-folder.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import { loadTrainingData } from '../node/training-data.ts';
import { gradientFigure, gradientSummary, gradientTable } from '../report/gradient-report.ts';
import { tableMarkdown } from '../report/table.ts';
import { gradientNoise } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { deviceOption, shellPath, textOption, threadsOption, valueOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { integer } from './values.ts';

interface GradientFlags {
  readonly batch?: number;
  readonly referenceBatch?: number;
  readonly batches?: number;
  readonly seed?: number;
  readonly dest?: string;
  readonly device?: DeviceChoice;
  readonly threads?: number;
}

/** Parts of the mini-batches that are left out in turn. */
const blocks = 8;
const defaultBatches = 64;
/** Mini-batches and references beyond this say no more, and take long. */
const most = { batch: 64, references: 1024 };

/** `stf analyze gradients`. */
export const gradientsCommand = (io: Io): Command =>
  new Command('gradients')
    .summary('variance of the gradient under DSM and STF at a checkpoint, and the noise scale')
    .description(
      'What the optimiser feels at a checkpoint: the variance of the stochastic gradient under denoising score matching and ' +
        'under the stable target, for equal mini-batches (same images, noise and noise levels), in each range of noise levels, ' +
        'and the gradient noise scale of McCandlish et al. 2018, with standard errors. Dropout, augmentation and a gate are ' +
        'left out.',
    )
    .addArgument(new Argument('<checkpoint>', 'Run folder, for its newest checkpoint, or checkpoint file'))
    .addOption(
      valueOption('--batch', integer('INT', { min: 1 }), 'Images in a mini-batch', `the run's, at most ${most.batch}`),
    )
    .addOption(
      valueOption(
        '--reference-batch',
        integer('INT', { min: 1 }),
        'References of the stable target, the mini-batch among them',
        String(most.references),
      ),
    )
    .addOption(
      valueOption(
        '--batches',
        integer('INT', { min: blocks }),
        `Mini-batches a range, a multiple of ${blocks}`,
        String(defaultBatches),
      ),
    )
    .addOption(valueOption('--seed', integer('INT', { min: 0 }), 'Of images, noise and references', '0'))
    .addOption(
      textOption('--dest', 'DIR', 'Folder that the results go to').default(undefined, 'analysis/gradients-NAME'),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addHelpText(
      'after',
      '\nExamples:\n  stf analyze gradients runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32\n' +
        '  stf analyze gradients checkpoint-000017.safetensors --batch 32 --reference-batch 4096',
    )
    .action((checkpoint: string, flags: GradientFlags) => run(checkpoint, flags, io));

async function run(path: string, flags: GradientFlags, io: Io): Promise<void> {
  const { print, note, progress } = makeConsole(io);
  const { batches = defaultBatches, seed = 0, device, threads } = flags;
  if (batches % blocks !== 0) throw new UsageError(`--batches must be a multiple of ${blocks}, got ${batches}.`);
  const { file, checkpoint, damaged } = await findCheckpoint(path);
  damaged.forEach(({ reason }) => note(`passed over a damaged checkpoint: ${reason}`));
  const { options, vectors, progress: reached } = checkpoint;
  const dataset = await loadTrainingData(options);
  const { batch = Math.min(options.batch, most.batch), referenceBatch } = flags;
  const references = referenceBatch ?? Math.min(dataset.length, Math.max(batch, most.references));
  if (references < batch)
    throw new UsageError(`--reference-batch must be at least --batch (${batch}), got ${references}.`);
  const runtime = await deviceRuntime({ device, ...(threads !== undefined && { threads }) });
  const folder = flags.dest ?? join('analysis', `gradients-${basename(path).replace(/\.safetensors$/, '')}`);
  await ensureWritableFolder(folder);
  const started = performance.now();
  const bar = progress({ unit: 'mini-batches', total: 4 * batches, rate: { unit: 'mini-batches/s', perUnit: 1 } });
  const comparisons = await gradientNoise(runtime, dataset, options, vectors.weights, {
    ...{ batch, references, batches, blocks, seed },
    onProgress: (done) => {
      bar.update(done);
      stopIfInterrupted(io, 'nothing was written');
    },
  }).finally(() => bar.end());
  const table = gradientTable(comparisons);
  const summary = gradientSummary(comparisons, references);
  const subject = { data: dataset.name, kimg: reached.nimg / 1000, batch, references };
  await writeAnalysis(
    folder,
    {
      figures: { gradients: gradientFigure(comparisons, subject) },
      tables: { gradients: table },
      options: { analysis: 'gradients', checkpoint: basename(file), batch, references, batches, blocks, seed },
      report: {
        title: `The stochastic gradient after ${subject.kimg} kimg on ${dataset.name}`,
        lines: summary,
        command: `stf analyze gradients ${basename(path)}`,
      },
    },
    { runtime, seconds: (performance.now() - started) / 1000 },
  );
  print(`${file}: ${dataset.length} samples of ${dataset.name}, mini-batches of ${batch}`);
  print(tableMarkdown(table));
  summary.forEach((line) => print(line));
  print();
  print(`Results: ${shellPath(join(folder, 'report.md'))}`);
}

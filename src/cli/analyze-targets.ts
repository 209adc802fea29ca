import { join } from 'node:path';
import { Command } from 'commander';
import { analyzeTargets } from '../analysis/index.ts';
import type { TargetAnalysis } from '../analysis/index.ts';
import { UsageError } from '../errors.ts';
import { writeAnalysis } from '../node/analysis-folder.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { tableMarkdown } from '../report/table.ts';
import { biasFigure, covarianceFigure, slopesTable, targetsSummary, targetsTable } from '../report/target-report.ts';
import { grouped } from '../report/ticks.ts';
import { setUpAnalysis, withAnalyzeOptions } from './analyze-setup.ts';
import type { AnalyzeFlags } from './analyze-setup.ts';
import { makeConsole } from './console.ts';
import { shellPath, valueOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { integer, integers } from './values.ts';

interface TargetFlags extends AnalyzeFlags {
  readonly sizes?: readonly number[];
  readonly batches?: number;
}

const name = 'targets';
/** Levels from where the posterior begins to spread on CIFAR-10. Targets of a denoiser depend on a process only by σ. */
const defaults = { name, levels: 6, images: 16, range: { sigmaMin: 4, sigmaMax: 80 } };
const defaultSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const defaultBatches = 64;

/** `stf analyze targets`. */
export const targetsCommand = (io: Io): Command =>
  withAnalyzeOptions(
    new Command(name)
      .summary('bias and covariance of the stable target against n, and the 1/n law')
      .description(
        'Bias and trace of the covariance of the stable target over n references, against the exact posterior mean over the ' +
          'whole data set, with and without the source among them: figures in log-log with the law of large n, a table with ' +
          'standard errors, and slopes with confidence intervals. All is told of the denoiser, whose targets depend on the ' +
          'forward process through σ alone.',
      ),
    defaults,
  )
    .addOption(valueOption('--sizes', integers('LIST'), 'Sizes n of the reference batch, rising', '1,2,4,...,4096'))
    .addOption(
      valueOption('--batches', integer('INT', { min: 3 }), 'Reference batches a noisy sample', String(defaultBatches)),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  stf analyze targets\n  stf analyze targets --data eight-gaussians --max-images 5000 --sigma-min 0.02 --sigma-max 2\n' +
        '  stf analyze targets --sizes 1,16,256 --levels 3 --images 8 --batches 32',
    )
    .action((flags: TargetFlags) => run(flags, io));

async function run(flags: TargetFlags, io: Io): Promise<void> {
  const { print, progress } = makeConsole(io);
  const { sizes = defaultSizes, batches = defaultBatches } = flags;
  if (sizes.some((size, i) => i > 0 && size <= sizes[i - 1]))
    throw new UsageError(`--sizes must rise, got ${sizes.join(',')}.`);
  const setup = await setUpAnalysis(flags, defaults);
  const { runtime, dataset, subject, sigmas, images, seed, folder } = setup;
  await ensureWritableFolder(folder);
  const started = performance.now();
  const groups = Math.ceil(images / 8);
  const bar = progress({
    unit: 'reference batches',
    total: sigmas.length * groups * batches,
    rate: { unit: 'batches/s', perUnit: 1 },
  });
  let analysis: TargetAnalysis;
  try {
    analysis = await analyzeTargets(runtime, dataset, {
      sigmas,
      sizes,
      images,
      batches,
      seed,
      onProgress: (done) => {
        bar.update(done);
        stopIfInterrupted(io, 'nothing was written');
      },
    });
  } finally {
    bar.end();
  }
  const slopes = slopesTable(analysis);
  const summary = targetsSummary(analysis);
  await writeAnalysis(
    folder,
    {
      figures: { covariance: covarianceFigure(analysis, subject), bias: biasFigure(analysis, subject) },
      tables: { targets: targetsTable(analysis), slopes },
      options: { ...setup.record, sizes, batches },
      report: {
        title: `Bias and covariance of the stable target on ${subject.data}`,
        lines: summary,
        command: `stf analyze targets --data ${flags.data ?? 'cifar10'}`,
      },
    },
    { runtime, seconds: (performance.now() - started) / 1000 },
  );
  print(`${subject.data}: ${grouped(dataset.length)} samples`);
  print(tableMarkdown(slopes));
  summary.forEach((line) => print(line));
  print();
  print(`Results: ${shellPath(join(folder, 'report.md'))}`);
}

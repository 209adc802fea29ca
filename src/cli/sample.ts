import { Command } from 'commander';
import { preconditioningName, sigmaRange } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { formatDuration } from '../node/progress.ts';
import { requireCreatable } from '../node/run-folder.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import { compileDenoiser, edmNoiseLevels, generateWith, withinRange } from '../sampling/index.ts';
import type { HeunOptions } from '../sampling/index.ts';
import { presets } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { deviceOption, textOption, threadsOption, valueOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { sampleWriter } from './sample-writer.ts';
import { integer, number, seedList } from './values.ts';

const defaultSeeds = '0-63';

/** Samples at a time: enough to keep the cores busy, few enough for memory. */
const defaultBatch = { images: 64, points: 4096 } as const;

/** What `stf sample` is asked for. */
export interface SampleWish {
  readonly network: string;
  readonly outdir: string;
  readonly seeds: readonly number[];
  readonly batch?: number | undefined;
  readonly class?: number | undefined;
  readonly device?: DeviceChoice | undefined;
  readonly threads?: number | undefined;
  /** Sampler options; what is left out is as in the run. */
  readonly sampler?: Partial<HeunOptions>;
}

/** `stf sample`. */
export function sampleCommand(io: Io): Command {
  const asInTheRun = (value: number): string => `the run's, ${value} in the presets`;
  const { samples } = presets.quickstart;
  const positive = number('FLOAT', { above: 0 });
  return new Command('sample')
    .summary('draw samples from a trained network')
    .description(
      'Draw samples from a trained network with the deterministic sampler of Karras et al. 2022. A seed gives the same ' +
        'sample whatever the other seeds and the batch. Images: a PNG file a seed and grid.png; points: points.csv and scatter.png.',
    )
    .addOption(
      textOption(
        '--network',
        'PATH',
        'Run folder, for its newest checkpoint, or checkpoint file',
      ).makeOptionMandatory(),
    )
    .addOption(textOption('--outdir', 'DIR', 'Where the samples go', 'samples'))
    .addOption(valueOption('--seeds', seedList, 'Seeds, one a sample, such as 0-63,100', defaultSeeds))
    .addOption(
      valueOption(
        '--batch',
        integer('INT', { min: 1 }),
        'Samples at a time',
        `${defaultBatch.images}; ${defaultBatch.points} for points`,
      ),
    )
    .addOption(
      valueOption(
        '--class',
        integer('INT', { min: 0 }),
        'Class to draw, for class-conditional networks',
        'the seed modulo the number of classes',
      ),
    )
    .addOption(
      valueOption(
        '--steps',
        integer('INT', { min: 2 }),
        'Sampler steps; the cost is 2 INT - 1 evaluations',
        asInTheRun(samples.steps),
      ),
    )
    .addOption(valueOption('--sigma-min', positive, 'Lowest noise level before 0', asInTheRun(samples.sigmaMin)))
    .addOption(valueOption('--sigma-max', positive, 'Highest noise level', asInTheRun(samples.sigmaMax)))
    .addOption(valueOption('--rho', positive, 'How much the steps crowd towards low noise', asInTheRun(samples.rho)))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addHelpText('after', sampleExamples)
    .action(async (given: Partial<SampleWish & HeunOptions> & Pick<SampleWish, 'network' | 'outdir'>) => {
      const { seeds = seedList.parse(defaultSeeds, '--seeds'), steps, sigmaMin, sigmaMax, rho, ...wish } = given;
      const chosen = Object.entries({ steps, sigmaMin, sigmaMax, rho }).filter(([, value]) => value !== undefined);
      await sample({ ...wish, seeds, sampler: Object.fromEntries(chosen) }, io);
    });
}

const sampleExamples = `
Examples:
  stf sample --network runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --seeds 0-63 --outdir samples
  stf sample --network checkpoint-000016.safetensors --seeds 17 --steps 40`;

/**
 * Draws samples and writes them.
 *
 * @returns paths of the picture of all samples, or of the table of points
 * @throws UsageError or FormatError before anything is written, when the wish can't be met
 */
export async function sample(wish: SampleWish, io: Io): Promise<{ picture: string | undefined }> {
  const console = makeConsole(io);
  const found = await findCheckpoint(wish.network);
  for (const { reason } of found.damaged) console.note(`passed over a damaged checkpoint: ${reason}`);
  const { options, vectors, progress } = found.checkpoint;
  const { count, ...own } = options.samples;
  const heun = { ...own, ...wish.sampler };
  const { preconditioning } = options.denoiser;
  const within = withinRange(heun, sigmaRange(preconditioning));
  edmNoiseLevels({ ...heun, ...within });
  if (within.sigmaMin !== heun.sigmaMin || within.sigmaMax !== heun.sigmaMax) {
    console.note(
      `The network (${preconditioningName(preconditioning)}) does not know all noise levels from ${heun.sigmaMin} to ${heun.sigmaMax}: sampling from ${within.sigmaMax} to ${within.sigmaMin}.`,
    );
  }
  const labels = classesOf(wish, found);
  await requireCreatable(wish.outdir);
  const { device, threads } = wish;
  const runtime = await deviceRuntime({ device, ...(threads !== undefined && { threads }) });
  console.note(
    `Drawing ${wish.seeds.length} samples from ${found.file}, trained for ${(progress.nimg / 1000).toFixed(1)} kimg`,
  );

  const { seeds } = wish;
  const batch = Math.min(
    wish.batch ?? defaultBatch[sampleShapeOf(options.denoiser.network).length === 1 ? 'points' : 'images'],
    seeds.length,
  );
  const denoiser = await compileDenoiser(runtime, options.denoiser, { batch, weights: vectors.ema });
  await ensureWritableFolder(wish.outdir);
  const sampleShape = sampleShapeOf(options.denoiser.network);
  const writer = sampleWriter(options, wish.outdir);
  const bar = console.progress({ unit: 'samples', total: seeds.length, rate: { unit: 'samples/s', perUnit: 1 } });
  const start = performance.now();
  try {
    for (let done = 0; done < seeds.length; done += batch) {
      const some = seeds.slice(done, done + batch);
      const drawn = await generateWith(denoiser, sampleShape, some, {
        ...heun,
        ...(labels && { labels: labels.slice(done, done + batch) }),
        onProgress: ({ samplesDone }) => {
          bar.update(done + samplesDone);
          stopIfInterrupted(io, `${done} of ${seeds.length} samples are complete in ${wish.outdir}`);
        },
      });
      await writer.take(drawn, some);
    }
    const picture = await writer.finish();
    bar.end();
    const seconds = (performance.now() - start) / 1000;
    const evaluations = denoiser.evaluations / Math.ceil(seeds.length / batch);
    console.print(
      `${seeds.length} samples in ${wish.outdir}, ${evaluations} evaluations each, in ${formatDuration(seconds)}` +
        (picture === undefined ? '' : `; all of them: ${picture}`),
    );
    return { picture };
  } finally {
    bar.end();
    await denoiser.release();
  }
}

/** The class of each sample; nothing for networks that know no classes. */
function classesOf({ class: chosen, seeds }: SampleWish, { file, checkpoint }: FoundCheckpoint): number[] | undefined {
  const { labelDim } = checkpoint.options.denoiser.network;
  if (chosen === undefined) return labelDim === 0 ? undefined : seeds.map((seed) => seed % labelDim);
  if (labelDim === 0) throw new UsageError(`--class needs a class-conditional network, and that of ${file} is not.`);
  if (chosen >= labelDim) throw new UsageError(`--class must be an integer from 0 to ${labelDim - 1}, got ${chosen}.`);
  return seeds.map(() => chosen);
}

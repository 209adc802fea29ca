import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { sizeOf } from '../graph/index.ts';
import type { Precision } from '../graph/index.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { joinRanks, shareCores } from '../node/mpi/index.ts';
import { formatDuration } from '../node/progress.ts';
import { requireCreatable } from '../node/run-folder.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import { sampleFiles } from '../node/sample-files.ts';
import { isPoints } from '../node/training-data.ts';
import { compileDenoiser, generateWith, inRanks, listOfFirst, requireFiniteWeights } from '../sampling/index.ts';
import { makeConsole } from './console.ts';
import { deviceOption, precisionOption, textOption, threadsOption, valueOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { countImages, sampleWriter } from './sample-writer.ts';
import { noteOnLevels, resolveSampler, samplerOptions, samplerWish } from './sampler-flags.ts';
import type { SamplerWish } from './sampler-flags.ts';
import { emptyRecord, hasOnly, hasSeed, readRecord, settingsOf, withSeeds, writeRecord } from './sampling-record.ts';
import type { SamplingRecord } from './sampling-record.ts';
import { trajectory } from './trajectory.ts';
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
  /** Weight of the class, for networks that were trained without it as well. */
  readonly guidance?: number | undefined;
  readonly device?: DeviceChoice | undefined;
  readonly threads?: number | undefined;
  /** In what the network's products are computed; float32 when left out, whatever it was trained in. */
  readonly precision?: Precision | undefined;
  /** The sampler; EDM's with the run's settings when left out. */
  readonly sampler?: SamplerWish;
  /** Whether images go in a subfolder for every 1000 seeds. */
  readonly subdirs?: boolean | undefined;
  /** Whether pictures of the way from noise to samples are made. */
  readonly trajectory?: boolean | undefined;
}

/** `stf sample`. */
export function sampleCommand(io: Io): Command {
  const command = new Command('sample')
    .optionsGroup('Options:')
    .summary('draw samples from a trained network')
    .description(
      'Draw samples from a trained network, with the deterministic sampler of Karras et al. 2022 unless another is asked for. A ' +
        'seed gives the same sample whatever the other seeds and the batch. Images: a PNG file a seed and grid.png; points: ' +
        'points.csv and scatter.png. Interrupted, the same command goes on with the batch of images at which it stopped; ' +
        'points start over. What was drawn with other settings is not written over.',
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
        '--guidance',
        number('FLOAT', { min: 0 }),
        'Weight of the class, for networks trained with --label-dropout; other than 0 and 1 it doubles the cost',
        '1',
      ),
    )
    .addOption(new Option('--subdirs', 'Put images in a subfolder for every 1000 seeds'))
    .addOption(
      new Option(
        '--trajectory',
        'Also make trajectory.png and trajectory-animated.png: the way from noise to samples of the first batch',
      ),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(precisionOption())
    .addHelpText('after', sampleExamples);
  command.optionsGroup('Sampler:');
  for (const option of samplerOptions()) command.addOption(option);
  return command.action(async (given: Given) => {
    const { seeds = seedList.parse(defaultSeeds, '--seeds') } = given;
    const { network, outdir, batch, class: chosen, guidance, device, threads, precision } = given;
    const where = { device, threads, precision };
    const what = {
      network,
      outdir,
      batch,
      class: chosen,
      guidance,
      subdirs: given.subdirs,
      trajectory: given.trajectory,
    };
    await sample({ ...what, ...where, seeds, sampler: samplerWish({ ...given }) }, io);
  });
}

/** Parsed options, those of the sampler by commander's names. */
type Given = Partial<Omit<SampleWish, 'sampler'>> &
  Pick<SampleWish, 'network' | 'outdir'> & { readonly sampler?: string };

const sampleExamples = `
Examples:
  stf sample --network runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --seeds 0-63 --outdir samples
  stf sample --network checkpoint-000016.safetensors --seeds 17 --steps 40 --trajectory
  stf sample --network runs/00000-cifar10-uncond-ddpmpp-ve-dsm-batch128-fp32 --sampler predictor-corrector
  stf sample --network checkpoint-000016.safetensors --solver euler --disc vp --schedule vp --scaling vp --steps 256
  mpirun -np 4 stf sample --network runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --seeds 0-49999`;

/**
 * Draws samples and writes them.
 *
 * @returns paths of the picture of all samples, or of the table of points
 * @throws UsageError or FormatError before anything is written, when the wish can't be met
 * @throws NonFiniteError when weights or samples are NaN or infinite
 */
export async function sample(wish: SampleWish, io: Io): Promise<{ picture: string | undefined }> {
  const console = makeConsole(io);
  const found = await findCheckpoint(wish.network);
  for (const { reason } of found.damaged) console.note(`passed over a damaged checkpoint: ${reason}`);
  const { options, vectors, progress } = found.checkpoint;
  requireFiniteWeights(vectors.ema, `${found.file}: the averaged weights`);
  const { sampler: samplerWished = { choices: {} } } = wish;
  const sampler = await resolveSampler(samplerWished, options);
  const levelsNote = noteOnLevels(sampler, samplerWished, options);
  if (levelsNote !== undefined) console.note(levelsNote);
  const labels = classesOf(wish, found);
  checkGuidance(wish, found);
  const writesImages = !isPoints(options.data);
  const settings = settingsOf(found, sampler, wish);
  const ranks = await joinRanks();
  // What is in the folder is the business of rank 0, which writes there.
  const isFirst = ranks.rank === 0;
  const record = isFirst ? await readRecord(wish.outdir, settings) : emptyRecord;
  if (isFirst && writesImages && !record.isOurs) await refuseMixture(wish.outdir);
  if (isFirst && !writesImages) await refuseLoss(wish, record);
  if (isFirst) await requireCreatable(wish.outdir);
  const { device, threads, precision = 'float32' } = wish;
  const share = await shareCores(ranks);
  const runtime = await deviceRuntime({ device, precision, threads: threads ?? share.threads });
  console.note(
    `Drawing ${wish.seeds.length} samples from ${found.file}, trained for ${(progress.nimg / 1000).toFixed(1)} kimg`,
  );

  if (isFirst) await ensureWritableFolder(wish.outdir);
  const { seeds } = wish;
  const { subdirs = false } = wish;
  const writer = sampleWriter(options, { outdir: wish.outdir, seeds, subdirs });
  let recorded = writesImages && record.isOurs ? record.done : [];
  const done = new Set(writesImages ? await writer.restore(seeds.filter((seed) => hasSeed(recorded, seed))) : []);
  const places = [...seeds.keys()].filter((i) => !done.has(seeds[i]));
  const missing = await listOfFirst(ranks, places);
  if (done.size > 0) console.note(`${done.size} of ${seeds.length} samples are in ${wish.outdir} from before.`);
  const mostAtOnce = wish.batch ?? defaultBatch[writesImages ? 'images' : 'points'];
  // Where nothing is missing, the film alone needs its batch.
  const isComplete = missing.length === 0;
  const drawing = isComplete && wish.trajectory ? [...seeds.keys()].slice(0, mostAtOnce) : missing;
  if (drawing.length === 0) {
    const picture = isFirst ? await writer.finish() : undefined;
    console.print(`${seeds.length} samples in ${wish.outdir}, all from before${allOfThem(picture)}`);
    return { picture };
  }

  // Before any file is written: what it was drawn with.
  if (isFirst && writesImages) await writeRecord(wish.outdir, settings, recorded);
  const sampleShape = sampleShapeOf(options.denoiser.network);
  const batch = Math.min(mostAtOnce, Math.ceil(drawing.length / ranks.size));
  const denoiser = await compileDenoiser(runtime, options.denoiser, { batch, precision, weights: vectors.ema });
  const film = wish.trajectory ? trajectory(sampleShape) : undefined;
  const bar = console.progress({ unit: 'samples', total: drawing.length, rate: { unit: 'samples/s', perUnit: 1 } });
  const start = performance.now();
  try {
    const work = (some: readonly number[], first: number): Promise<Float32Array> =>
      generateWith(
        denoiser,
        sampleShape,
        some.map((i) => seeds[i]),
        {
          ...sampler,
          ...(labels && { labels: some.map((i) => labels[i]), guidance: wish.guidance ?? 1 }),
          ...(film && first === 0 && { onStep: (step) => film.take(step) }),
          onProgress: ({ samplesDone }) => {
            bar.update(Math.min(first + samplesDone * ranks.size, drawing.length));
            stopIfInterrupted(io, `${done.size} of ${seeds.length} samples are complete in ${wish.outdir}`);
          },
        },
      );
    for await (const { items, values } of inRanks(ranks, drawing, { batch, size: sizeOf(sampleShape), work })) {
      if (isComplete || !isFirst) continue;
      const some = items.map((i) => seeds[i]);
      await writer.take(values, some);
      for (const seed of some) done.add(seed);
      if (writesImages) await writeRecord(wish.outdir, settings, (recorded = withSeeds(recorded, some)));
    }
    const picture = isFirst ? await writer.finish() : undefined;
    if (isFirst && !writesImages) await writeRecord(wish.outdir, settings, withSeeds([], seeds));
    const pictures = isFirst && film ? await film.write(wish.outdir) : [];
    bar.end();
    const seconds = (performance.now() - start) / 1000;
    const evaluations = Math.round(denoiser.evaluations / Math.ceil(drawing.length / batch / ranks.size));
    const how = isComplete ? 'all from before' : `${evaluations} evaluations each, in ${formatDuration(seconds)}`;
    console.print(`${seeds.length} samples in ${wish.outdir}, ${how}${allOfThem(picture)}`);
    if (pictures.length > 0) console.print(`From noise to samples: ${pictures.join(', ')}`);
    return { picture };
  } finally {
    bar.end();
    await denoiser.release();
  }
}

const allOfThem = (picture: string | undefined): string => (picture === undefined ? '' : `; all of them: ${picture}`);

/** @throws UsageError when images that were drawn with other settings are in a folder: nobody could tell which is which */
async function refuseMixture(outdir: string): Promise<void> {
  const count = await countImages(outdir);
  if (count > 0)
    throw new UsageError(
      `--outdir ${outdir} has ${count} ${count === 1 ? 'image that was' : 'images that were'} drawn with other settings (sampling.json). Choose another --outdir, or delete ${count === 1 ? 'it' : 'them'} first.`,
    );
}

/** @throws UsageError when points are in a folder that the call would not draw again: they would be lost */
async function refuseLoss({ outdir, seeds }: SampleWish, record: SamplingRecord): Promise<void> {
  const there = await stat(join(outdir, sampleFiles.points)).catch(() => undefined);
  if (!there || (record.isOurs && record.done.length > 0 && hasOnly(record, seeds))) return;
  const why = !record.isOurs
    ? `drawn with other settings (${sampleFiles.record})`
    : record.done.length > 0
      ? 'of other seeds'
      : 'of another call';
  throw new UsageError(
    `--outdir ${outdir} has points ${why} in ${sampleFiles.points}. Choose another --outdir, or delete the file first.`,
  );
}

/** @throws UsageError when the network can't do without a class, or knows none */
function checkGuidance({ guidance = 1 }: SampleWish, { file, checkpoint }: FoundCheckpoint): void {
  const { labelDim, labelDropout } = checkpoint.options.denoiser.network;
  if (guidance === 1) return;
  if (labelDim === 0) throw new UsageError(`--guidance needs a class-conditional network, and that of ${file} is not.`);
  if (labelDropout === 0)
    throw new UsageError(
      `--guidance needs a network that was trained without classes as well (--label-dropout), and that of ${file} was not.`,
    );
}

/** The class of each sample; nothing for networks that know no classes. */
function classesOf({ class: chosen, seeds }: SampleWish, { file, checkpoint }: FoundCheckpoint): number[] | undefined {
  const { labelDim } = checkpoint.options.denoiser.network;
  if (chosen === undefined) return labelDim === 0 ? undefined : seeds.map((seed) => seed % labelDim);
  if (labelDim === 0) throw new UsageError(`--class needs a class-conditional network, and that of ${file} is not.`);
  if (chosen >= labelDim) throw new UsageError(`--class must be an integer from 0 to ${labelDim - 1}, got ${chosen}.`);
  return seeds.map(() => chosen);
}

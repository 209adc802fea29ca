import { UsageError } from '../errors.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { joinRanks, leaveRanks, shareCores } from '../node/mpi/index.ts';
import type { CoreShare } from '../node/mpi/index.ts';
import { formatDuration } from '../node/progress.ts';
import { nextRunNumber, requireCreatable, RunFolder, runFolderName } from '../node/run-folder.ts';
import { findResumable, hasSamples, isFinished } from '../node/run-reader.ts';
import type { ResumableRun } from '../node/run-reader.ts';
import type { RunFolderWish } from '../node/run-folder.ts';
import { samplePool } from '../node/loader/sample-pool.ts';
import { isPoints, loadTrainingData, shareTrainingData } from '../node/training-data.ts';
import { grouped } from '../report/ticks.ts';
import { checkSizes, describeTarget, train } from '../training/index.ts';
import type { PresetName, TrainingJob, TrainingOptions, TrainingSummary } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { shellPath, suggested } from './help.ts';
import { Preempted, preemptionOf, stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { continuedOptions, countParameters, newRunOptions, notesOn, resumedRunOptions } from './train-options.ts';
import type { GivenFlags } from './train-options.ts';

/** A run that is going to be: everything that can be checked has been, and nothing has been written. */
export interface TrainingPlan {
  readonly options: TrainingOptions;
  readonly parameters: number;
  /** Where a new run folder goes. */
  readonly outdir: string;
  /** The run that goes on, or the checkpoint that a new run begins with. */
  readonly resumed: ResumableRun | undefined;
  /** Sentences on what was typed and could not be followed. */
  readonly notes: readonly string[];
}

/**
 * Makes options out of what the user typed and checks them.
 *
 * @throws UsageError or FormatError for whatever makes a run impossible
 */
export async function makePlan(wish: {
  outdir: string;
  preset?: PresetName | undefined;
  resume?: string | undefined;
  given: GivenFlags;
}): Promise<TrainingPlan> {
  const { outdir, preset, resume, given } = wish;
  if (resume === undefined) {
    const options = newRunOptions(preset, given);
    await requireCreatable(outdir);
    return {
      options,
      parameters: countParameters(options),
      outdir,
      resumed: undefined,
      notes: notesOn(options, given),
    };
  }
  if (preset !== undefined)
    throw new UsageError(`--preset can't be given with --resume: a run goes on with its own options, got ${preset}.`);
  const resumed = await findResumable(resume);
  const own = resumed.checkpoint.options;
  const options = resumed.folder === undefined ? continuedOptions(own, given) : resumedRunOptions(own, given);
  requireLonger(resumed, options, given);
  await requireCreatable(resumed.folder ?? outdir);
  return { options, parameters: countParameters(options), outdir, resumed, notes: notesOn(options, given) };
}

/** @throws UsageError for a length that a run has passed: it has no end to go on to */
function requireLonger({ checkpoint }: ResumableRun, { durationKimg }: TrainingOptions, given: GivenFlags): void {
  const { options, progress } = checkpoint;
  const kimg = progress.nimg / 1000;
  // The last step of a run may take it beyond its length: its own is no mistake.
  if (!given.has('duration') || durationKimg >= kimg || durationKimg === options.durationKimg) return;
  throw new UsageError(
    `--duration must be above the ${kimg / 1000} million images that the run has seen, got ${given.get('duration')}.`,
  );
}

/** Prints what a run would be. */
export async function describePlan(plan: TrainingPlan, io: Io): Promise<void> {
  const { print, note } = makeConsole(io);
  const { options, parameters, outdir, resumed } = plan;
  plan.notes.forEach((line) => note(line));
  print(JSON.stringify(options, null, 2));
  print();
  print(`Parameters:  ${grouped(parameters)}`);
  print(`Target:      ${describeTarget(options)}`);
  print(`Images:      ${grouped(Math.round(options.durationKimg * 1000))} in steps of ${options.batch}`);
  if (resumed) print(`Resumes:     ${resumed.file}: ${remaining(plan)}`);
  if (resumed?.folder === undefined)
    print(`Run folder:  ${outdir}/${runFolderName(await nextRunNumber(outdir), options)}`);
  print('Dry run: nothing was written.');
}

/** How far a resumed run is, and how far it has to go. */
function remaining({ options, resumed }: TrainingPlan): string {
  const { nimg } = resumed!.checkpoint.progress;
  const left = Math.max(options.durationKimg - nimg / 1000, 0);
  return `${(nimg / 1000).toFixed(1)} of ${options.durationKimg} kimg done, ${left.toFixed(1)} kimg remain`;
}

/** What a run of `stf train` has come to. */
export interface TrainingOutcome extends TrainingSummary {
  readonly folder: RunFolder;
}

/** One thread is ahead of any step on images; points take less time to make than to hand over. See docs/data.md. */
const defaultWorkers = ({ data }: TrainingOptions): number => (isPoints(data) ? 0 : 1);

/** How a run is carried out: none of it changes what comes out. */
export interface RunWish {
  readonly device?: DeviceChoice | undefined;
  readonly threads?: number | undefined;
  /** Threads that load data ahead of the step; with 0 each step loads its own. `defaultWorkers` when left out. */
  readonly workers?: number | undefined;
  /** Take the folder of a resumed run over from a process on another machine. */
  readonly breakLock?: boolean | undefined;
  /** Whether to write what TensorBoard reads. */
  readonly tensorBoard?: boolean | undefined;
  readonly io: Io;
}

/**
 * Trains as planned, into a run folder; together with the processes that `mpirun` started beside this one, of which rank 0
 * has the folder.
 *
 * @returns nothing when the run was complete already, or another rank has the folder
 * @throws Interrupted when the user stops it before training began
 * @throws Preempted when a scheduler stops it
 * @throws SaveError when the state can't be saved
 */
export async function runPlan(plan: TrainingPlan, wish: RunWish): Promise<TrainingOutcome | undefined> {
  const { device, threads, workers = defaultWorkers(plan.options), breakLock = false, tensorBoard = true, io } = wish;
  const { options, resumed } = plan;
  const console = makeConsole(io);
  plan.notes.forEach((line) => console.note(line));
  for (const { reason } of resumed?.damaged ?? []) console.note(`passed over a damaged checkpoint: ${reason}`);
  if (resumed && (await isComplete(resumed, options))) {
    console.print(`${resumed.file}: ${remaining(plan)}. A longer --duration goes on.`);
    return undefined;
  }
  const { precision } = options;
  const ranks = await joinRanks();
  checkSizes({ ...options, ranks: ranks.size });
  const share = await shareCores(ranks);
  const runtime = await deviceRuntime({ device, precision, threads: threads ?? share.threads });
  // Rank 0 first: where data have to be fetched, the others find them.
  if (ranks.rank > 0) await ranks.barrier();
  const { dataset, samples } =
    workers > 0
      ? await shareTrainingData(options, workers)
      : { dataset: await loadTrainingData(options), samples: undefined };
  if (ranks.rank === 0) await ranks.barrier();
  await letSignalsIn();
  stopIfInterrupted(io, 'training had not begun, and nothing was written');

  const loader = samples && samplePool(samples, workers);
  const job: Omit<TrainingJob, 'observer'> = {
    ...{ runtime, dataset, options, ranks, loader, signal: io.interrupt },
    now: () => Date.now() / 1000,
    clock: () => performance.now() / 1000,
    memoryGb: () => process.memoryUsage.rss() / 2 ** 30,
    ...(resumed && {
      resume: {
        ...resumed.checkpoint,
        lacksSamples: resumed.folder !== undefined && !(await hasSamples(resumed.folder, resumed.checkpoint.progress)),
      },
    }),
  };
  try {
    if (ranks.rank > 0) {
      await train(job);
      return undefined;
    }
    const folder = await openFolder(plan, { breakLock, tensorBoard }, (line) => console.print(line));
    try {
      const note = threads === undefined && share.idle > 0 ? idleCores(share) : undefined;
      return await trainInto(folder, job, plan, note, io);
    } finally {
      folder.release();
    }
  } finally {
    await loader?.release();
  }
}

/** The folder of the run that goes on, or a new one. */
const openFolder = (
  { options, outdir, resumed }: TrainingPlan,
  wish: RunFolderWish,
  show: (line: string) => void,
): Promise<RunFolder> =>
  resumed?.folder !== undefined
    ? RunFolder.resume(
        resumed.folder,
        options,
        resumed.checkpoint.progress,
        resumed.damaged.map(({ file }) => file),
        show,
        wish,
      )
    : RunFolder.create(outdir, options, show, wish);

/** Whether a run has nothing left to do. A checkpoint alone is complete when it has seen all images. */
async function isComplete({ folder, checkpoint: { progress } }: ResumableRun, { durationKimg }: TrainingOptions) {
  return progress.nimg >= durationKimg * 1000 && (folder === undefined || (await isFinished(folder, progress)));
}

/** @param note  a sentence on the machine */
async function trainInto(
  folder: RunFolder,
  job: Omit<TrainingJob, 'observer'>,
  plan: TrainingPlan,
  note: string | undefined,
  io: Io,
): Promise<TrainingOutcome> {
  const { options, resumed } = plan;
  const { runtime, dataset, ranks } = job;
  const where = `${runtime.engine} on ${runtime.device} with ${runtime.threads} threads`;
  const inRanks = ranks && ranks.size > 1 ? ` in each of ${ranks.size} ranks` : '';
  const console = makeConsole(io);
  folder.print(`Run folder: ${folder.path}`);
  folder.print(
    `Training ${grouped(plan.parameters)} parameters on ${grouped(dataset.length)} samples of ${dataset.name}, ${where}${inRanks}`,
  );
  if (note !== undefined) folder.print(`  ${note}`);
  folder.print(`Target: ${describeTarget(options)}`);
  if (resumed) folder.print(`Resuming ${resumed.file}: ${remaining(plan)}`);

  const bar = console.progress({
    unit: 'kimg',
    total: options.durationKimg,
    start: (resumed?.checkpoint.progress.nimg ?? 0) / 1000,
    rate: { unit: 'img/s', perUnit: 1000 },
    digits: 1,
  });
  const announce = (): void => {
    const signal = preemptionOf(io);
    console.note(
      signal === undefined
        ? 'Interrupted: finishing this step and writing a checkpoint. Once more quits at once.'
        : `${signal}: finishing this step and writing a checkpoint.`,
    );
  };
  io.interrupt.addEventListener('abort', announce);
  try {
    const summary = await train({
      ...job,
      observer: {
        step: ({ nimg }) => bar.update(nimg / 1000),
        tick: (statistics) => folder.tick(statistics),
        sampling: ({ samplesDone, samples }) => bar.activity(`drawing samples ${Math.floor(samplesDone)}/${samples}`),
        samples: (samples, progress) => folder.samples(samples, progress),
        save: (state) => folder.save(state),
        skipped: (report) => folder.skipped(report),
      },
    });
    bar.end();
    await folder.finish(summary);
    folder.print(lastLine(folder, summary, options));
    const signal = preemptionOf(io);
    if (!summary.finished && signal !== undefined) {
      // All ranks are through: nothing is to be aborted. A launcher that is ending may never answer, and then kills.
      folder.release();
      await leaveRanks();
      throw new Preempted(`stopped by ${signal}; the state is saved, and the run goes on with --resume`);
    }
    return { ...summary, folder };
  } finally {
    bar.end();
    io.interrupt.removeEventListener('abort', announce);
  }
}

/** What to do about cores that nobody may use. */
const idleCores = ({ idle, ranksHere }: CoreShare): string =>
  `${idle} cores of this machine are left idle: mpirun bound its ${ranksHere} ranks to fewer. mpirun --bind-to none frees them.`;

function lastLine(
  folder: RunFolder,
  { progress, finished }: TrainingSummary,
  { durationKimg }: TrainingOptions,
): string {
  const where = `${(progress.nimg / 1000).toFixed(1)} of ${durationKimg} kimg in ${formatDuration(progress.seconds)}`;
  if (finished) return `Done: ${where}. The result is in ${folder.path}`;
  return `Interrupted at ${where}. To go on: ${suggested(`train --resume ${shellPath(folder.path)}`)}`;
}

/** Node hears of signals only between two turns of its event loop. */
const letSignalsIn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

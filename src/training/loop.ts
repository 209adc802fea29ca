import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { NonFiniteError, UsageError } from '../errors.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { alone } from '../runtime/index.ts';
import type { Communicator, Runtime } from '../runtime/index.ts';
import { compileDenoiser, generateWith } from '../sampling/index.ts';
import type { CompiledDenoiser } from '../sampling/index.ts';
import { batchSource } from './batches.ts';
import { gradientProbe } from './gradient-probe.ts';
import { afterGoodStep, afterOverflow, initialLossScale } from './loss-scale.ts';
import type { LossScale } from './loss-scale.ts';
import { describeNonFinite, isFiniteStep, mostSkippedInARow } from './non-finite.ts';
import type { LiveState, Progress, TickPart, TrainingObserver, TrainingState } from './observer.ts';
import { parseTrainingOptions } from './options.ts';
import type { TrainingOptions } from './options.ts';
import { anyRank, requireSameState, stopAgreement } from './ranks.ts';
import { emaBetaAt, learningRateAt } from './schedule.ts';
import type { SampleLoader } from './samples.ts';
import { StatisticsCollector } from './statistics.ts';
import type { TickStatistics } from './statistics.ts';
import { rangeOf, tickProbe } from './target-probe.ts';
import { compileTrainStep, trainingVectors } from './train-step.ts';
import type { RoundData } from './round.ts';
import type { StepResult, StepScalars, TrainingVector, TrainStep } from './train-step.ts';

export interface TrainingJob {
  readonly runtime: Runtime;
  readonly dataset: Dataset;
  readonly options: TrainingOptions;
  /** Told what happens; nobody is when left out. */
  readonly observer?: TrainingObserver;
  /** Seconds since 1970, for time stamps; it may be set back and forth. The clock of the system when left out. */
  readonly now?: () => number;
  /** Seconds of a clock that only goes forward, for durations; `now` when left out. */
  readonly clock?: () => number;
  /** Resident memory of the process in GiB. */
  readonly memoryGb?: () => number;
  /** Makes samples ahead of the step, in other threads; when left out each step makes its own. */
  readonly loader?: SampleLoader | undefined;
  /** Where to go on, from a checkpoint. */
  readonly resume?: {
    readonly progress: Progress;
    readonly vectors: Readonly<Record<TrainingVector, Float32Array>>;
    /** True when the samples that were due with the checkpoint have not been drawn, and are to be drawn first. */
    readonly lacksSamples?: boolean;
  };
  /** The processes that train together; this one alone when left out. Rank 0 tells its observer, the others are silent. */
  readonly ranks?: Communicator;
  /** Looked at after every step, of training and of sampling; when set, the run saves its state and ends. */
  readonly signal?: { readonly aborted: boolean };
}

export interface TrainingSummary {
  readonly progress: Progress;
  /** False when the run was interrupted. */
  readonly finished: boolean;
  readonly firstTick?: TickStatistics | undefined;
  readonly lastTick?: TickStatistics | undefined;
}

/** Values of the samples that are drawn at a time: 85 images of CIFAR-10. */
const samplingValues = 2 ** 18;
/** Samples drawn at a time at the most. */
const samplingBatch = 4096;

/**
 * Trains a denoiser: steps, and at every tick statistics, and at some ticks samples and a checkpoint. The order of
 * things in a step is EDM's: learning rate and moving average as of the images seen before it.
 *
 * @throws UsageError when an option has a value that it can't have, or data and network do not fit
 * @throws NonFiniteError when a loss or gradient is infinite or NaN, or a sample is, after saving the state
 */
export async function train(job: TrainingJob): Promise<TrainingSummary> {
  const { runtime, dataset, now = () => Date.now() / 1000, signal, ranks = alone } = job;
  const options = parseTrainingOptions(job.options);
  const isFirst = ranks.rank === 0;
  const observer: TrainingObserver = (isFirst && job.observer) || {};
  const clock = job.clock ?? now;
  checkData(dataset, options);
  const started = clock();
  const { denoiser, objective, weighting, augmentation, batch, rounds, seed } = options;
  const step = await compileTrainStep(
    runtime,
    {
      denoiser,
      objective,
      weighting,
      batch,
      rounds,
      sampleDtype: dataset.dtype,
      augmentation,
      adam: options.adam,
      lossScaling: options.lossScaling,
      precision: options.precision,
      checkpointing: options.checkpointing,
    },
    { seed, ranks, ...(job.resume && { weights: job.resume.vectors.weights }) },
  );
  if (job.resume) for (const name of trainingVectors) step.state.write(name, job.resume.vectors[name]);
  const shard = { rank: ranks.rank, ranks: ranks.size };
  const batches = await batchSource(runtime, dataset, options, step.dropoutPerSample, shard, {
    loader: job.loader,
    now: clock,
  });
  const probe = isFirst ? await tickProbe(runtime, dataset, options) : undefined;
  const gradients = gradientProbe(step, options, job.resume?.progress.gradientProbe, ranks.size);
  let sampler: CompiledDenoiser | undefined;

  const statistics = new StatisticsCollector();
  const secondsBefore = job.resume?.progress.seconds ?? 0;
  let { nimg, step: steps, tick }: Progress = job.resume?.progress ?? { nimg: 0, step: 0, tick: 0, seconds: 0 };
  // Only float16 needs one.
  let lossScale = options.precision === 'float16' ? (job.resume?.progress.lossScale ?? initialLossScale) : undefined;
  let skipped = job.resume?.progress.skipped ?? { total: 0, inARow: 0 };
  const part = job.resume?.progress.sinceTick;
  if (part) statistics.resume(part.moments);
  let tickStart = { time: clock() - (part?.seconds ?? 0), nimg: part?.nimg ?? nimg };
  let maintenance = part?.maintenance ?? clock() - started;
  const progress = (): Progress => ({
    nimg,
    step: steps,
    tick,
    seconds: secondsBefore + clock() - started,
    ...(lossScale && { lossScale }),
    ...(skipped.total > 0 && { skipped }),
  });
  const sinceTick = (): TickPart | undefined =>
    nimg > tickStart.nimg
      ? { nimg: tickStart.nimg, seconds: clock() - tickStart.time, maintenance, moments: statistics.collected() }
      : undefined;
  const save = async (isLast = false): Promise<boolean> => {
    const now = { ...progress(), gradientProbe: gradients.state(), sinceTick: sinceTick() };
    // Rank 0 has the state, and nobody leaves before it is safe.
    return anyRank(ranks, isFirst && (await saveState(observer, step, { options, progress: now, isLast })));
  };
  // Only the clock may differ.
  const requireSame = (when: string): Promise<void> =>
    requireSameState(ranks, step.state, { options, progress: { ...progress(), seconds: 0 } }, when);
  const stop = stopAgreement(ranks, signal);
  const total = options.durationKimg * 1000;
  let firstTick: TickStatistics | undefined;
  let lastTick: TickStatistics | undefined;
  // Of the tick that was interrupted, what is known of it.
  let waited = part?.moments.find(([key]) => key === 'Timing/data_wait_sec')?.[2] ?? 0;
  const isDue = (every: number | null, tick: number): boolean =>
    nimg >= total || (every !== null && tick !== 0 && tick % every === 0);
  // A signal in the last step changes nothing: what is left to do is the picture, after the checkpoint.
  const stops = (): boolean => nimg < total && stop.isAgreed();
  /** Returns why the samples are no numbers, where they are not; the same in all ranks. */
  const draw = async (): Promise<string | undefined> => {
    let diverged: string | undefined;
    if (isFirst) diverged = await drawHere();
    return (await anyRank(ranks, diverged !== undefined)) ? (diverged ?? 'the samples are not finite.') : undefined;
  };
  const drawHere = async (): Promise<string | undefined> => {
    if (!observer.samples) return undefined;
    sampler ??= await compileDenoiser(runtime, denoiser, {
      batch: samplesAtATime(options, sampleSize(dataset)),
      precision: options.precision,
      state: step.state,
      entry: 'ema',
    });
    try {
      const samples = await drawSamples(sampler, options, observer, () => nimg < total && stop.isAsked());
      if (samples) await observer.samples(samples, progress());
      return undefined;
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      return error.message;
    }
  };
  /** Ends a run whose network gives no numbers, with its state on the disk. */
  const stopDiverged = async (why: string, isSaved: boolean): Promise<never> => {
    if (!isSaved) await save(true);
    throw new NonFiniteError(divergedMessage(steps, why));
  };
  /** A state that could not be saved when it was due. */
  let isOwed = false;

  try {
    await requireSame('before the first step');
    if (job.resume?.lacksSamples && tick > 0 && !part && isDue(options.sampleTicks, tick - 1)) {
      const diverged = await draw();
      if (diverged !== undefined) await stopDiverged(diverged, true);
    }
    await stop.agree();
    while (nimg < total) {
      if (stops()) {
        await save(true);
        break;
      }
      const learningRate = learningRateAt(nimg, {
        learningRate: options.learningRate,
        rampKimg: options.learningRateRampKimg,
      });
      const emaBeta = emaBetaAt(nimg, batch, options.ema);
      const data = await batches.rounds(steps);
      const scalars = { learningRate, emaBeta, step: steps + 1 };
      const { result, scale } = await takeStep(step, data, scalars, lossScale);
      lossScale = scale;
      const wait = batches.takeWait();
      waited += wait;
      statistics.report('Timing/data_wait_sec', wait);
      if (isFiniteStep(result)) {
        if (lossScale) {
          lossScale = afterGoodStep(lossScale);
          statistics.report('Optimizer/loss_scale', lossScale.value);
          statistics.report('Optimizer/overflows', lossScale.overflows);
        }
        skipped = { ...skipped, inARow: 0 };
        const perElement = result.lossPerSample.map((loss) => loss / sampleSize(dataset));
        statistics.report('Loss/loss', perElement);
        statistics.report('Optimizer/learning_rate', learningRate);
        statistics.report('Optimizer/gradient_norm', result.gradientNorm);
        statistics.report('Optimizer/ema_beta', emaBeta);
        reportRanges(statistics, result, perElement, options);
        gradients.step();
      } else {
        const gradient = (await step.state.read('gradient')) as Float32Array;
        const report = describeNonFinite(result, steps + 1, step.table, gradient);
        if (options.onNonFinite === 'stop' || skipped.inARow === mostSkippedInARow) {
          // Before the state is saved, which may fail, or be tried for minutes.
          observer.skipped?.(report);
          await save(true);
          throw new NonFiniteError(nonFiniteMessage(report, skipped.inARow));
        }
        skipped = { total: skipped.total + 1, inARow: skipped.inARow + 1 };
        observer.skipped?.(report);
      }
      steps++;
      nimg += batch;
      observer.step?.(progress(), result.lossPerSample.reduce((a, b) => a + b, 0) / sampleSize(dataset) / batch);
      await stop.agree();

      const done = nimg >= total;
      if (!done && tick !== 0 && nimg < tickStart.nimg + options.kimgPerTick * 1000) continue;

      const tickEnd = clock();
      if (options.onNonFinite === 'skip') statistics.report('Optimizer/skipped_steps', skipped.total);
      reportTick(statistics, {
        tick,
        nimg,
        started,
        tickStart,
        tickEnd,
        maintenance,
        waited,
        memoryGb: job.memoryGb?.() ?? 0,
        secondsBefore,
      });
      await probe?.report(tick, statistics);
      if (isFirst && isFiniteStep(result)) await gradients.report(tick, data[0], statistics);
      lastTick = statistics.take(now());
      firstTick ??= lastTick;
      await requireSame(`after step ${steps}`);
      await observer.tick?.(lastTick);
      tickStart = { time: clock(), nimg };
      const saves = isOwed || stops() || isDue(options.checkpointTicks, tick);
      const draws = isDue(options.sampleTicks, tick);
      tick++;
      if (saves) isOwed = !(await save(done || stops()));
      const diverged = draws && !stops() ? await draw() : undefined;
      if (diverged !== undefined) await stopDiverged(diverged, saves && !isOwed);
      await stop.agree();
      if (stops()) {
        if (!saves || isOwed) await save(true);
        break;
      }
      maintenance = clock() - tickEnd;
      tickStart = { time: clock(), nimg };
      waited = 0;
    }
    return { progress: progress(), finished: nimg >= total, firstTick, lastTick };
  } finally {
    await sampler?.release();
    await probe?.release();
    await batches.release();
    await step.release();
  }
}

function checkData(dataset: Dataset, { denoiser }: TrainingOptions): void {
  const needed = sampleShapeOf(denoiser.network);
  if (dataset.sampleShape.join() !== needed.join()) {
    throw new UsageError(
      `data set ${dataset.name} has samples of shape [${dataset.sampleShape.join(', ')}], the network takes [${needed.join(', ')}].`,
    );
  }
  if (denoiser.network.labelDim > 0 && denoiser.network.labelDim !== dataset.classes) {
    throw new UsageError(
      `data set ${dataset.name} has ${dataset.classes} classes, the network takes ${denoiser.network.labelDim}.`,
    );
  }
}

/** Hands the state to the observer, in whichever way it takes it. */
async function saveState(
  observer: TrainingObserver,
  { state, table }: TrainStep,
  about: Pick<LiveState, 'options' | 'progress' | 'isLast'>,
): Promise<boolean> {
  if (observer.save) {
    const look: LiveState['look'] = (name, use) => state.look(name, (values) => use(values as Float32Array));
    return observer.save({ ...about, table, look });
  }
  if (!observer.checkpoint) return true;
  const read = async (name: TrainingVector) => (await state.read(name)) as Float32Array;
  const vectors = {
    weights: await read('weights'),
    ema: await read('ema'),
    'adam.m': await read('adam.m'),
    'adam.v': await read('adam.v'),
  };
  const { options, progress } = about;
  await observer.checkpoint({ options, progress, table, vectors } satisfies TrainingState);
  return true;
}

/**
 * Takes a step. A gradient that does not fit into float16 leaves the state alone: then the same step is taken with half
 * the scale, so that what is trained does not depend on the scale.
 *
 * @param scale  undefined in float32
 * @returns      the step's result, and the scale that it was taken with
 */
async function takeStep(
  step: TrainStep,
  data: readonly RoundData[],
  scalars: StepScalars,
  scale: LossScale | undefined,
): Promise<{ result: StepResult; scale: LossScale | undefined }> {
  const result = await step.run(data, { ...scalars, ...(scale && { lossScale: scale.value }) });
  const isOverflow = !Number.isFinite(result.gradientNorm) && result.lossPerSample.every(Number.isFinite);
  const smaller = scale && isOverflow ? afterOverflow(scale) : undefined;
  return smaller ? takeStep(step, data, scalars, smaller) : { result, scale };
}

const nonFiniteMessage = (report: string, skippedInARow: number): string =>
  `${report}. ${skippedInARow > 0 ? `The ${skippedInARow} steps before it were left out for the same reason. ` : ''}` +
  'The state before it was saved; a smaller learning rate or a longer ramp-up may help.';

const divergedMessage = (step: number, why: string): string =>
  `training diverged by step ${step}: ${why} Its state was saved; a smaller learning rate or a longer ramp-up may help, and an ` +
  'earlier checkpoint may be whole.';

/** The noise levels that were drawn, and the loss, in each range of them. */
function reportRanges(
  statistics: StatisticsCollector,
  { sigma }: StepResult,
  losses: Float32Array,
  { sigmaRanges }: TrainingOptions,
): void {
  for (const [sample, level] of sigma.entries()) {
    const range = rangeOf(level, sigmaRanges);
    statistics.report(`Target/drawn/${range}`, level);
    statistics.report(`Loss/${range}`, losses[sample]);
  }
}

interface TickTimes {
  readonly tick: number;
  readonly nimg: number;
  readonly started: number;
  readonly secondsBefore: number;
  readonly tickStart: { readonly time: number; readonly nimg: number };
  readonly tickEnd: number;
  readonly maintenance: number;
  readonly waited: number;
  readonly memoryGb: number;
}

/** The fields of EDM's progress line. */
function reportTick(statistics: StatisticsCollector, times: TickTimes): void {
  const seconds = times.tickEnd - times.tickStart.time;
  statistics.report('Progress/tick', times.tick);
  statistics.report('Progress/kimg', times.nimg / 1000);
  statistics.report('Timing/total_sec', times.secondsBefore + times.tickEnd - times.started);
  statistics.report('Timing/sec_per_tick', seconds);
  statistics.report('Timing/sec_per_kimg', (seconds / (times.nimg - times.tickStart.nimg)) * 1000);
  statistics.report('Timing/maintenance_sec', times.maintenance);
  // Of the time since the last tick, which is nothing where the clock stands still.
  statistics.report('Timing/data_wait_share', seconds > 0 ? times.waited / seconds : 0);
  statistics.report('Resources/cpu_mem_gb', times.memoryGb);
  statistics.report('Resources/peak_gpu_mem_gb', 0);
}

const samplesAtATime = ({ samples }: TrainingOptions, size: number): number =>
  Math.min(samples.count, samplingBatch, Math.max(1, Math.floor(samplingValues / size)));

/** Thrown out of the sampler when the run is to stop. */
class Stopped extends Error {}

/**
 * Samples of seeds 0, 1, 2, ...; of class-conditional networks, classes in turn. Nothing when the run is to stop before
 * they are done.
 */
async function drawSamples(
  sampler: CompiledDenoiser,
  { denoiser, samples }: TrainingOptions,
  observer: TrainingObserver,
  stops: () => boolean,
): Promise<Float32Array | undefined> {
  const { count, ...heun } = samples;
  const seeds = Array.from({ length: count }, (_, i) => i);
  const { labelDim } = denoiser.network;
  try {
    return await generateWith(sampler, sampleShapeOf(denoiser.network), seeds, {
      ...heun,
      onProgress: (progress) => {
        observer.sampling?.(progress);
        if (stops()) throw new Stopped();
      },
      ...(labelDim > 0 && { labels: seeds.map((i) => i % labelDim) }),
    });
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    throw error;
  }
}

import { access, constants, mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { toyStandardDeviation } from '../data/toy.ts';
import { preconditioningName } from '../diffusion/index.ts';
import { SaveError, StfError, UsageError } from '../errors.ts';
import { encodePng } from '../formats/png.ts';
import { slicedWasserstein } from '../metrics/sliced-wasserstein.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { standardDeviation } from '../numerics/statistics.ts';
import { describeReferences } from '../objective/index.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import { grouped } from '../report/ticks.ts';
import { writeCheckpoint } from '../training/index.ts';
import type {
  LiveState,
  Progress,
  TickStatistics,
  TrainingObserver,
  TrainingOptions,
  TrainingState,
  TrainingSummary,
} from '../training/index.ts';
import { LineFile } from './appended-file.ts';
import { EventLog } from './event-log.ts';
import { ensureWritableFolder, fileError, openAtomic, removeTemporaryFiles, writeFileAtomic } from './files.ts';
import { lockFolder } from './lock.ts';
import type { FolderLock } from './lock.ts';
import { svgToPng } from './raster.ts';
import { archName, checkpointsIn, expendable, isFineRun, linesUpTo, readStatistics, runFiles } from './run-reader.ts';
import { tickLine } from './tick-line.ts';
import { dataName, dataShape, freshPoints, isPoints } from './training-data.ts';

/** The last state of a run, which can't be had again, is tried to be saved so often. */
const lastSave = { everySeconds: 10, forSeconds: 600 };
/** Pictures that could not be written are kept for later, so many at the most. */
const waitingPictures = 4;
/** Points on either side of a sliced Wasserstein distance: two samples of one distribution are then about 1.3 % apart. */
const comparedPoints = 20_000;

/** How far samples of points are from their distribution. */
export interface SampleDistance {
  /** Sliced Wasserstein-1 distance to fresh points of the distribution, or to those of a file, in data units. */
  readonly slicedWasserstein: number;
  /** The same, over the standard deviation of a coordinate. */
  readonly relative: number;
  readonly samples: number;
  readonly freshPoints: number;
  /** True where the points that were compared with are the training data themselves, since there are no others. */
  readonly isOfTrainingData?: boolean;
}

/** How a run folder is taken and kept. */
export interface RunFolderWish {
  /** Take the folder over from another machine's process. */
  readonly breakLock?: boolean;
  /** How often, and how long, the last state is tried to be saved. */
  readonly lastSave?: { readonly everySeconds: number; readonly forSeconds: number };
  /** Also write what TensorBoard reads; true when left out. */
  readonly tensorBoard?: boolean;
}

/**
 * Puts everything a training run leaves behind into one folder, and tells the user what it does. The folder belongs to one
 * process at a time, until `release`. What can't be written is written later, unless the options say to stop then.
 */
export class RunFolder implements TrainingObserver {
  /** Of the last samples, when the data are points. */
  distance: SampleDistance | undefined;
  /** Name of the last picture that was written. */
  lastSamples: string | undefined;
  private readonly log: LineFile;
  private readonly statistics: LineFile;
  private readonly events: EventLog | undefined;
  private readonly pictures = new Map<string, Uint8Array>();
  /** What could not be written the last time, so that it is said when that is over. */
  private readonly failing = new Set<string>();

  /** Whether names count single images. */
  private readonly isFine: boolean;

  private constructor(
    readonly path: string,
    private readonly options: TrainingOptions,
    private readonly show: (line: string) => void,
    private readonly wish: RunFolderWish,
    private readonly lock: FolderLock,
    resumed?: { readonly nimg: number; readonly checkpoints: readonly string[] },
  ) {
    this.isFine = isFineRun(options, resumed?.checkpoints);
    this.log = new LineFile(join(path, runFiles.log));
    this.statistics = new LineFile(join(path, runFiles.statistics));
    if (wish.tensorBoard ?? true) this.events = new EventLog(path, resumed?.nimg);
    if (lock.takenOver !== undefined) this.print(`Took the folder over from ${lock.takenOver}.`);
  }

  /**
   * Makes the folder `parent/NNNNN-DESCRIPTION` with the next free number, and writes the options into it.
   *
   * @param show  where lines for the user go, beside log.txt
   * @throws UsageError when the folder can't be written
   */
  static async create(
    parent: string,
    options: TrainingOptions,
    show: (line: string) => void,
    wish: RunFolderWish = {},
  ): Promise<RunFolder> {
    await ensureWritableFolder(parent);
    for (let number = await nextRunNumber(parent); ; number++) {
      const path = join(parent, runFolderName(number, options));
      try {
        await mkdir(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue; // another run was faster
        throw fileError(`can't make the folder ${path}`, error);
      }
      let lock: FolderLock | undefined;
      try {
        lock = lockFolder(path);
        await writeFileAtomic(join(path, runFiles.options), textOf(options));
        return new RunFolder(path, options, show, wish, lock);
      } catch (error) {
        lock?.release();
        await rmdir(path).catch(() => {});
        throw error;
      }
    }
  }

  /**
   * Takes up the folder of a run that goes on from `progress`: statistics that were written after that point are taken
   * out, checkpoints that are damaged are renamed to `NAME.damaged`, temporary files of interrupted writes are removed,
   * and the options are written anew.
   *
   * @throws UsageError when the folder can't be written, or another process trains into it
   */
  static async resume(
    path: string,
    options: TrainingOptions,
    progress: Progress,
    damaged: readonly string[],
    show: (line: string) => void,
    wish: RunFolderWish = {},
  ): Promise<RunFolder> {
    await ensureWritableFolder(path);
    const lock = lockFolder(path, { isForced: wish.breakLock ?? false });
    try {
      await checkNewest(path, progress, damaged);
      await removeTemporaryFiles(path);
      const statistics = join(path, runFiles.statistics);
      const text = await readFile(statistics, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
      const kept = linesUpTo(text, statistics, progress.nimg)
        .map((line) => `${line}\n`)
        .join('');
      if (kept !== text) await writeFileAtomic(statistics, kept);
      for (const file of damaged) await rename(file, `${file}.damaged`);
      const optionsFile = join(path, runFiles.options);
      if ((await readFile(optionsFile, 'utf8').catch(() => '')) !== textOf(options))
        await writeFileAtomic(optionsFile, textOf(options));
      return new RunFolder(path, options, show, wish, lock, {
        nimg: progress.nimg,
        checkpoints: await checkpointsIn(path),
      });
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Shows a line to the user and keeps it in log.txt. */
  print(line: string): void {
    this.show(line);
    this.report(runFiles.log, this.log.append(line));
  }

  /** Lets other processes use the folder. */
  release(): void {
    this.lock.release();
  }

  step(): void {}

  skipped(report: string): void {
    this.print(`left out the update of ${report}`);
  }

  async tick(statistics: TickStatistics): Promise<void> {
    const entry = { ...statistics.values, timestamp: statistics.timestamp };
    this.settle(runFiles.statistics, this.statistics.append(JSON.stringify(entry)));
    this.settle('the events for TensorBoard', this.events?.tick(statistics));
    this.print(tickLine(statistics));
    for (const [name, picture] of this.pictures) await this.writePicture(name, picture);
  }

  /** Draws the samples: images as a grid, points beside fresh points of the data, with the distance between the two. */
  async samples(samples: Float32Array, { nimg }: Progress): Promise<void> {
    const name = runFiles.samples(nimg, this.isFine);
    const { data } = this.options;
    if (isPoints(data)) {
      const [dimension] = dataShape(data).sampleShape;
      const fresh = freshPoints(this.options, Math.max(comparedPoints, samples.length / dimension));
      const deviation = data.kind === 'toy' ? toyStandardDeviation : deviationOf(fresh, dimension);
      this.distance = {
        ...distanceOf(samples, fresh, dimension, deviation),
        ...(data.kind === 'file' && { isOfTrainingData: true }),
      };
      const figure = this.pointFigure(samples, fresh, dimension, nimg);
      this.print(`  ${distanceLine(this.distance)}`);
      if (!figure) return;
      await this.keepPicture(name, svgToPng(figure), nimg);
    } else {
      await this.keepPicture(name, imageGridPng(samples, sampleShapeOf(this.options.denoiser.network)), nimg);
    }
    this.lastSamples = name;
  }

  /** As `save`, of a state in memory. */
  async checkpoint({ options, progress, table, vectors }: TrainingState): Promise<void> {
    const look: LiveState['look'] = (name, use) => use(vectors[name]);
    await this.save({ options, progress, table, look, isLast: false });
  }

  /**
   * Writes a checkpoint, after the statistics up to it are on the disk, and removes those that are not to be kept. The last
   * one of a run is tried again and again for ten minutes.
   *
   * @returns false when it could not be written and training may go on
   * @throws SaveError when it could not be written and training must end
   */
  async save(state: LiveState): Promise<boolean> {
    const name = runFiles.checkpoint(state.progress.nimg, this.isFine);
    const { everySeconds, forSeconds } = this.wish.lastSave ?? lastSave;
    const isPatient = state.isLast && this.options.onSaveFailure === 'retry';
    for (let waited = 0; ; waited += everySeconds) {
      const error = await this.attempt(async () => {
        const late = this.statistics.flush({ toDisk: true }) ?? this.events?.flush();
        if (late) throw late;
        await this.writeCheckpoint(name, state);
      });
      if (!error) {
        this.settle(name, undefined);
        this.print(`  wrote ${name}`);
        this.report('what is left of old checkpoints', await this.attempt(() => this.removeOld(state)));
        return true;
      }
      if (!state.isLast) {
        this.settle(name, error);
        return false;
      }
      if (!isPatient || waited >= forSeconds)
        throw new SaveError(`${error.message} The run ends at its last whole checkpoint.`, { cause: error });
      if (waited === 0)
        this.print(
          `${error.message} Trying again every ${everySeconds} seconds, ${forSeconds} seconds long: make room.`,
        );
      await wait(everySeconds * 1000);
    }
  }

  /**
   * Writes summary.json: where the run stands, its first and last tick, and the distance of its samples. The first tick
   * is the run's, also where it was resumed.
   */
  async finish({ progress, finished, lastTick }: TrainingSummary): Promise<void> {
    for (const [name, picture] of this.pictures) await this.writePicture(name, picture);
    const ticks = await readStatistics(this.path);
    const summary = {
      finished,
      progress,
      samples: this.distance,
      firstTick: ticks[0],
      lastTick: lastTick ?? ticks.at(-1),
    };
    const error = await this.attempt(() =>
      writeFileAtomic(join(this.path, runFiles.summary), `${JSON.stringify(summary, null, 2)}\n`),
    );
    this.settle(runFiles.summary, error);
  }

  private async writeCheckpoint(name: string, state: LiveState): Promise<void> {
    const file = await openAtomic(join(this.path, name));
    try {
      await writeCheckpoint(state, file);
      await file.commit();
    } finally {
      await file.abandon();
    }
  }

  /** Behind a network of NaN or infinity nothing goes: an older checkpoint is the only one of use. */
  private async removeOld(state: LiveState): Promise<void> {
    const { keptCheckpoints, milestoneKimg } = this.options;
    const names = expendable(await checkpointsIn(this.path), { keptCheckpoints, milestoneKimg });
    if (names.length === 0 || !(await state.look('ema', (ema) => Promise.resolve(ema.every(Number.isFinite))))) return;
    for (const name of names) await rm(join(this.path, name));
  }

  private async keepPicture(name: string, picture: Uint8Array, nimg: number): Promise<void> {
    await this.writePicture(name, picture);
    this.settle('the events for TensorBoard', this.events?.samples(picture, nimg));
  }

  /** Writes a picture, now or at a later tick. */
  private async writePicture(name: string, picture: Uint8Array): Promise<void> {
    const error = await this.attempt(() => writeFileAtomic(join(this.path, name), picture));
    this.pictures.delete(name);
    if (error) {
      this.pictures.set(name, picture);
      const [oldest] = this.pictures.keys();
      if (this.pictures.size > waitingPictures) this.pictures.delete(oldest);
    }
    this.settle(name, error);
    if (!error) this.print(`  wrote ${name}`);
  }

  /** Does something with files. What goes wrong with them is returned, and everything else is thrown. */
  private async attempt(action: () => Promise<void>): Promise<StfError | undefined> {
    try {
      await action();
      return undefined;
    } catch (error) {
      if (error instanceof StfError) return error;
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      return fileError(`can't write in ${this.path}`, error);
    }
  }

  /** Ends the run when something could not be saved and the options ask for it, or says that it is tried again. */
  private settle(what: string, error: StfError | undefined): void {
    if (error && this.options.onSaveFailure === 'stop')
      throw new SaveError(`${error.message} The run ends at its last whole checkpoint.`, { cause: error });
    this.report(what, error);
  }

  /** Says once that something can't be written, and once that it can again. */
  private report(what: string, error: StfError | undefined): void {
    const key = what.replace(/\d+(\.\d+)?/, 'N');
    if (error && !this.failing.has(key)) {
      this.failing.add(key);
      this.print(`${error.message} Training goes on; it is tried again at the next tick.`);
    } else if (!error && this.failing.delete(key)) {
      this.print(`${what} is written again.`);
    }
  }

  /** Samples beside data, of as many points; of points in space their first two coordinates, of numbers nothing. */
  private pointFigure(samples: Float32Array, fresh: Float32Array, dimension: number, nimg: number): string | undefined {
    if (dimension < 2) return undefined;
    const count = samples.length / dimension;
    const { objective, data } = this.options;
    const method = objective.kind === 'stf' ? `stable target, ${describeReferences(objective.references)}` : 'DSM';
    return scatterFigure({
      title: `${dataName(data)}: ${method}, ${(nimg / 1000).toFixed(0)} kimg`,
      subtitle: distanceLine(this.distance!),
      panels: [
        { title: 'data', kind: 'data', points: firstTwo(fresh.subarray(0, count * dimension), dimension) },
        { title: 'samples', kind: 'samples', points: firstTwo(samples, dimension) },
      ],
    });
  }
}

const textOf = (options: TrainingOptions): string => `${JSON.stringify(options, null, 2)}\n`;

/** Whether a run still stands where it was found: another process may have gone on with it before it was locked. */
async function checkNewest(path: string, { nimg }: Progress, damaged: readonly string[]): Promise<void> {
  const passedOver = new Set(damaged.map((file) => basename(file)));
  const newest = (await checkpointsIn(path)).find((name) => !passedOver.has(name));
  const own = [runFiles.checkpoint(nimg), runFiles.checkpoint(nimg, true)];
  if (newest !== undefined && !own.includes(newest))
    throw new UsageError(`${path} has gone on to ${newest} meanwhile, by another process. Try again.`);
}

/** Standard deviation of points: the root of the variance that is averaged over the coordinates; 1 for a single one. */
function deviationOf(points: Float32Array, dimension: number): number {
  if (points.length < 2 * dimension) return 1;
  let variance = 0;
  for (let axis = 0; axis < dimension; axis++)
    variance += standardDeviation(points.filter((_, i) => i % dimension === axis)) ** 2 / dimension;
  return Math.sqrt(variance);
}

function distanceOf(samples: Float32Array, fresh: Float32Array, dimension: number, deviation: number): SampleDistance {
  const distance = slicedWasserstein(samples, fresh, { dimension });
  return {
    slicedWasserstein: distance,
    relative: distance / deviation,
    samples: samples.length / dimension,
    freshPoints: fresh.length / dimension,
  };
}

/** The distance of samples in words. */
const distanceLine = ({
  slicedWasserstein: distance,
  relative,
  samples,
  freshPoints: fresh,
  isOfTrainingData = false,
}: SampleDistance): string =>
  `sliced Wasserstein-1 ${distance.toPrecision(3)}, ${(relative * 100).toFixed(1)} % of the data's standard deviation ` +
  `(${grouped(samples)} samples, ${grouped(fresh)} ${isOfTrainingData ? 'training' : 'fresh'} points)`;

/** The first two coordinates of points [N, dimension]. */
export function firstTwo(points: Float32Array, dimension: number): Float32Array {
  if (dimension === 2) return points;
  return Float32Array.from(
    { length: (2 * points.length) / dimension },
    (_, i) => points[(i >> 1) * dimension + (i % 2)],
  );
}

/** Images [N, C, H, W], values in [-1, 1] or pixels, as a square grid, each pixel doubled, as a PNG file. */
export function imageGridPng(
  images: Float32Array | Uint8Array,
  [channels, height, width]: readonly number[],
): Uint8Array {
  const count = images.length / (channels * height * width);
  const columns = Math.ceil(Math.sqrt(count));
  return encodePng(imageGrid({ images, count, channels, height, width, columns, scale: 2 }));
}

/** Name of a run folder: number, data, class-conditional or not, network, preconditioning, objective, batch, precision. */
export function runFolderName(
  number: number,
  { data, denoiser, objective, batch, precision }: TrainingOptions,
): string {
  const { network, preconditioning } = denoiser;
  const parts = [
    String(number).padStart(5, '0'),
    dataName(data),
    network.labelDim > 0 ? 'cond' : 'uncond',
    archName(network),
    preconditioningName(preconditioning),
    objectiveName(objective),
    `batch${batch}`,
    precision === 'float16' ? 'fp16' : 'fp32',
  ];
  return parts.join('-');
}

/** `dsm`, `stf1024` for the paper's fresh references, `stf-bank1024` for others; `-gate2-20` and `-mixed` where so. */
function objectiveName(objective: TrainingOptions['objective']): string {
  if (objective.kind === 'dsm') return 'dsm';
  const { references, gate, mixLabels } = objective;
  const source = references.kind === 'fresh' ? `stf${references.count}` : `stf-${describeReferences(references)}`;
  return `${source}${gate ? `-gate${gate.sigmaMin}-${gate.sigmaMax}` : ''}${mixLabels ? '-mixed' : ''}`;
}

/** The number after the largest one among the runs in a folder; 0 when there are none. */
export async function nextRunNumber(parent: string): Promise<number> {
  const names = await readdir(parent).catch(() => []);
  const numbers = names.flatMap((name) => (/^\d{5,}-/.test(name) ? [parseInt(name, 10)] : []));
  return numbers.reduce((most, number) => Math.max(most, number), -1) + 1;
}

/**
 * Looks whether a folder could be made and written to, without making it: its nearest ancestor that exists must be a
 * folder that we may write in.
 *
 * @throws UsageError that names the folder and the reason
 */
export async function requireCreatable(folder: string): Promise<void> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new UsageError(`can't write in the folder ${folder}: ${error.message}.`);
    });
    if (!found) continue;
    if (!found.isDirectory()) throw new UsageError(`can't write in the folder ${folder}: ${path} is a file.`);
    await access(path, constants.W_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EROFS') throw fileError(`can't write in the folder ${folder}`, error);
      throw new UsageError(`can't write in the folder ${folder}: no permission to write in ${path}.`);
    });
    return;
  }
}

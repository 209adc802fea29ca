import { join } from 'node:path';
import { samplerKinds } from '../../sampling/index.ts';
import { lockName, ownerState } from '../lock.ts';
import { archName, runFiles, runPatterns } from '../run-reader.ts';
import { isPoints } from '../training-data.ts';
import { parseTrainingOptions } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import type {
  Axis,
  CheckpointFile,
  Curve,
  RunDetail,
  RunSeries,
  RunSummary,
  SamplePicture,
  SamplingLimits,
} from './api.ts';
import { EvaluationReports } from './evaluation-reports.ts';
import { openPlain } from './plain-file.ts';
import { dataLabel, objectiveLabel } from './run-labels.ts';
import { filesOf, isSameFile } from './run-listing.ts';
import type { ListedFile, ListedRun } from './run-listing.ts';
import { runState } from './run-state.ts';
import { StatFile } from './stat-file.ts';
import { StatSketch } from './stat-sketch.ts';

/** Options and summaries are small; what is larger is none. */
const mostJsonBytes = 2 ** 21;
const logBytes = 2 ** 16;
/** Milliseconds after which the files of an open run are looked at though its folder is as before. */
const filesFor = 10_000;
/** Milliseconds after which the state of a run is told anew where nothing happens. */
const restMs = 5000;
/** Memory that a file of an open run takes, about. */
const bytesOfFile = 200;
/** Versions of another start of the server are others. */
const start = Date.now().toString(36);

/** Bounds of what a page may ask to be drawn. */
export const samplingBounds = { steps: 250, images: 64, points: 2000 } as const;

const kimgKey = 'Progress/kimg';

/** How a curve of statistics is asked for. */
export interface SeriesWish {
  readonly axis: Axis;
  /** Bounds of the axis; all of it when left out. */
  readonly from: number;
  readonly to: number;
  /** Stretches at most. */
  readonly points: number;
  /** All that there are when left out. */
  readonly keys: readonly string[] | undefined;
  /** Whether least and largest values are wanted. */
  readonly band: boolean;
}

/**
 * One run folder as the server knows it. Of every run there is what the list shows, kept up to date by `look`; the rest,
 * curves above all, is read when somebody opens the run and can be dropped again.
 */
export class RunView {
  private listed: ListedRun;
  private readonly sketch: StatSketch;
  private optionsRead:
    | {
        readonly written: number;
        readonly value: unknown;
        readonly fault: string | undefined;
        readonly labels: readonly string[];
      }
    | undefined;
  private summaryRead: { readonly written: number; readonly finished: boolean | undefined } | undefined;
  private lastLogLine: { readonly written: number; readonly line: string | undefined } | undefined;
  private lockRead: { readonly written: number; readonly text: string } | undefined;
  private fault: string | undefined;
  private revision = 0;
  /** What there is of an open run. */
  private statistics: StatFile;
  private evaluations: EvaluationReports;
  private filesRead: { readonly stamp: string; readonly at: number } | undefined;
  private opening: { readonly of: ListedRun; readonly done: Promise<void> } | undefined;
  files: ReadonlyMap<string, ListedFile> = new Map();
  /** When the folder was last looked at, in milliseconds of this process. */
  lookedAt = -Infinity;
  private summarizedAt = -Infinity;
  summary!: RunSummary;

  constructor(
    listed: ListedRun,
    private readonly commandFor: (file: string) => string,
  ) {
    this.listed = listed;
    this.sketch = new StatSketch(join(listed.path, runFiles.statistics));
    [this.statistics, this.evaluations] = this.nothingRead();
  }

  get path(): string {
    return this.listed.path;
  }

  get place(): ListedRun {
    return this.listed;
  }

  /** Whether nothing is expected to happen here. */
  get isResting(): boolean {
    return this.fault === undefined && ['done', 'stopped', 'failed'].includes(this.summary.state);
  }

  /** Memory that is freed when the run is closed, about. */
  get openBytes(): number {
    return this.statistics.bytes + bytesOfFile * this.files.size;
  }

  /** Looks at what the list shows. */
  async look(listed: ListedRun, now: number): Promise<void> {
    const isNew = listed !== this.listed || this.lookedAt === -Infinity;
    // Where nothing happens the state changes only with time.
    if (!isNew && this.isResting && performance.now() - this.summarizedAt < restMs) return;
    this.listed = listed;
    this.lookedAt = performance.now();
    if (isNew) this.revision++;
    if (isNew || this.fault !== undefined) {
      try {
        await this.sketch.look(stampOf(listed.signs.get(runFiles.statistics)));
        await this.readSmallFiles();
        this.fault = undefined;
      } catch (error) {
        // A disk that does not answer must not hide the other runs.
        this.fault = `the folder can't be read: ${error instanceof Error ? error.message : String(error)}`;
      }
    }
    this.summary = this.summarize(now);
  }

  /** Reads what a page of this run shows, or what of it is new, up to what the folder is known to have by now. */
  async open(now: number): Promise<void> {
    const { listed } = this;
    while (this.opening) {
      const { of, done } = this.opening;
      await done;
      // One that began earlier has not seen what came since.
      if (of === listed) return;
    }
    const done = this.openNow(now).finally(() => (this.opening = undefined));
    this.opening = { of: this.listed, done };
    await done;
  }

  private async openNow(now: number): Promise<void> {
    const { names, path, signs, stamp } = this.listed;
    const { statistics, evaluations, filesRead } = this;
    if (filesRead?.stamp !== stamp || performance.now() - filesRead.at > filesFor) {
      const files = await filesOf(path, names);
      // One that was written over where it was.
      const isOther = [...files].some(([name, file]) => !signs.has(name) && !isSameFile(file, this.files.get(name)));
      if (filesRead?.stamp === stamp && isOther) this.revision++;
      await evaluations.look(files);
      if (evaluations !== this.evaluations) return; // closed meanwhile
      this.files = files;
      this.filesRead = { stamp, at: performance.now() };
    }
    try {
      await statistics.look(stampOf(signs.get(runFiles.statistics)));
    } catch (error) {
      this.fault = `the folder can't be read: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.summary = this.summarize(now);
  }

  /** Drops what is only shown of an open run. */
  close(): void {
    [this.statistics, this.evaluations] = this.nothingRead();
    this.files = new Map();
    this.filesRead = undefined;
  }

  private nothingRead(): [StatFile, EvaluationReports] {
    return [
      new StatFile(join(this.listed.path, runFiles.statistics)),
      new EvaluationReports((name) => this.readJson(name)),
    ];
  }

  /** Whether a part of the statistics has not been read yet. */
  get isIncomplete(): boolean {
    return !this.statistics.isExact;
  }

  /** Reads all statistics, with a pause between pieces. */
  async complete(pause: () => Promise<void>): Promise<void> {
    await this.statistics.complete(pause);
    this.revision++;
    this.summary = this.summarize(Date.now() / 1000);
  }

  /** Everything but the curves. */
  detail(): RunDetail {
    const { known, damagedLines } = this.statistics;
    return {
      summary: this.summary,
      options: this.optionsRead?.value ?? null,
      samples: this.pictures(runPatterns.samples),
      figures: this.pictures(/^(?:phases\/)?(?!samples-)[\w.-]+?(\d*)\.png$/),
      checkpoints: this.checkpoints(),
      keys: [...new Set([...known.keys, ...(known.lines > 0 ? this.evaluations.keys : [])])],
      lines: known.lines,
      damagedLines,
      sampling: this.samplingLimits(),
    };
  }

  /** The end of the log. */
  log(): Promise<string> {
    return this.tailOf(runFiles.log, logBytes);
  }

  /** Curves, thinned out. */
  async series(wish: SeriesWish): Promise<RunSeries> {
    const key = wish.axis === 'time' ? 'Timing/total_sec' : kimgKey;
    const factor = wish.axis === 'steps' ? 1000 / this.batch() : 1;
    const whole = wish.from === -Infinity && wish.to === Infinity;
    const { statistics, evaluations } = this;
    const { known } = statistics;
    const { buckets, range } = whole
      ? { buckets: known, range: { from: 0, to: known.length } }
      : await statistics.zoom(key, wish.from / factor, wish.to / factor);
    const x = [...buckets.thin(key, range, wish.points).mean].map((value) => rounded(value * factor) ?? 0);
    const keys = buckets.keys.filter((each) => wish.keys?.includes(each) ?? true);
    const isThinned = wish.band && x.length > 0 && (range.to - range.from) * buckets.linesPerBucket > x.length;
    const curves: Record<string, Curve> = {};
    for (const each of keys) {
      const { mean, min, max } = buckets.thin(each, range, wish.points);
      curves[each] = {
        mean: Array.from(mean, rounded),
        ...(isThinned && { min: Array.from(min, rounded), max: Array.from(max, rounded) }),
      };
    }
    const kimg = buckets.thin(kimgKey, range, wish.points).mean;
    for (const each of evaluations.keys)
      if (curves[each] === undefined && (wish.keys?.includes(each) ?? true))
        curves[each] = evaluations.along(each, kimg, { isAll: whole });
    return { id: this.listed.id, version: this.summary.version, exact: statistics.isExact, x, curves };
  }

  /** The options, if they are those of a run of this version. */
  options(): TrainingOptions | undefined {
    try {
      return parseTrainingOptions(this.optionsRead?.value);
    } catch {
      return undefined;
    }
  }

  private batch(): number {
    const batch = Number((this.optionsRead?.value as { batch?: unknown } | null | undefined)?.batch);
    return batch > 0 ? batch : 1;
  }

  private async readSmallFiles(): Promise<void> {
    const { signs } = this.listed;
    const options = signs.get(runFiles.options);
    if (!options) this.optionsRead = undefined;
    else if (this.optionsRead?.written !== options.written) {
      const read = await this.readJson(runFiles.options);
      this.optionsRead = { written: options.written, ...read, labels: labelsOf(read.value) };
    }
    const summary = signs.get(runFiles.summary);
    if (!summary) this.summaryRead = undefined;
    else if (this.summaryRead?.written !== summary.written) {
      const { value } = await this.readJson(runFiles.summary);
      const finished = (value as { finished?: unknown } | null)?.finished;
      this.summaryRead = { written: summary.written, finished: typeof finished === 'boolean' ? finished : undefined };
    }
    const lock = signs.get(lockName);
    if (!lock) this.lockRead = undefined;
    else if (this.lockRead?.written !== lock.written)
      this.lockRead = { written: lock.written, text: await this.tailOf(lockName, 4096) };
    const log = signs.get(runFiles.log);
    if (log && this.lastLogLine?.written !== log.written) {
      const line = (await this.tailOf(runFiles.log, 2048)).trimEnd().split('\n').at(-1);
      this.lastLogLine = { written: log.written, line: line?.slice(0, 300) };
    }
  }

  private async readJson(name: string): Promise<{ value: unknown; fault: string | undefined }> {
    try {
      const text = await this.tailOf(name, mostJsonBytes);
      const value: unknown = JSON.parse(text);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('it is no object');
      return { value, fault: undefined };
    } catch (error) {
      return {
        value: null,
        fault: `${name} is not readable: ${error instanceof Error ? error.message : String(error)}`,
      };
    }
  }

  /** The end of a file as text; empty where there is none. */
  private async tailOf(name: string, bytes: number): Promise<string> {
    if (!this.listed.names.has(name)) return '';
    const file = await openPlain(join(this.listed.path, name)).catch(() => undefined);
    if (!file) return '';
    try {
      const { size } = await file.stat();
      const buffer = new Uint8Array(Math.min(size, bytes));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
      return new TextDecoder().decode(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  }

  private summarize(now: number): RunSummary {
    const { id, signs } = this.listed;
    const { last, loss } = this.sketch;
    this.summarizedAt = performance.now();
    const written = (name: string): number => (signs.get(name)?.written ?? 0) / 1000;
    const finished = this.summaryRead?.finished;
    // What others leave here, such as reports and figures, is no sign of life.
    const updated = Math.max(0, ...[...signs.keys()].map(written));
    const { state, note } = this.faults() ?? {
      ...runState({
        now,
        updated,
        secondsPerTick: last.get('Timing/sec_per_tick'),
        statistics: signs.has(runFiles.statistics) ? written(runFiles.statistics) : undefined,
        summary: finished === undefined ? undefined : { finished, written: written(runFiles.summary) },
        owner: this.lockRead && ownerState(this.lockRead.text),
        lastLine: this.lastLogLine?.line,
      }),
    };
    const version = `${start}-${this.revision}`;
    const before = this.summary as RunSummary | undefined;
    // The same object as before says that nothing has changed.
    if (before?.state === state && before.version === version && before.note === note) return before;
    const options = (this.optionsRead?.value ?? {}) as Partial<TrainingOptions>;
    const secondsPerKimg = last.get('Timing/sec_per_kimg');
    return {
      id,
      state,
      note,
      updated,
      labels: this.optionsRead?.labels ?? [],
      method: options.objective?.kind === 'stf' ? 'stf' : options.objective?.kind === 'dsm' ? 'dsm' : null,
      kimg: last.get(kimgKey) ?? null,
      durationKimg: typeof options.durationKimg === 'number' ? options.durationKimg : null,
      loss: last.get('Loss/loss') ?? null,
      rate: secondsPerKimg ? 1000 / secondsPerKimg : null,
      spark: loss.map(rounded),
      version,
    };
  }

  private faults(): { state: 'broken'; note: string } | undefined {
    if (!this.listed.names.has(runFiles.options)) return { state: 'broken', note: 'options.json is missing' };
    const fault = this.fault ?? this.optionsRead?.fault;
    if (fault !== undefined) return { state: 'broken', note: fault };
    const { damagedLines, lines } = this.sketch;
    if (damagedLines > 0 && 2 * damagedLines >= lines)
      return { state: 'broken', note: `stats.jsonl: ${damagedLines} of ${lines} lines are not JSON` };
    return undefined;
  }

  private pictures(pattern: RegExp): SamplePicture[] {
    return [...this.files]
      .flatMap(([file, { written }]) => {
        const kimg = pattern.exec(file)?.[1];
        return kimg === undefined ? [] : [{ file, kimg: Number(kimg), version: Math.round(written).toString(36) }];
      })
      .sort((a, b) => a.kimg - b.kimg || (a.file < b.file ? -1 : 1));
  }

  private checkpoints(): CheckpointFile[] {
    return [...this.files]
      .flatMap(([file, { bytes, written }]) => {
        const kimg = runPatterns.checkpoint.exec(file)?.[1];
        const command = this.commandFor(join(this.listed.path, file));
        return kimg === undefined ? [] : [{ file, kimg: Number(kimg), bytes, written: written / 1000, command }];
      })
      .sort((a, b) => b.kimg - a.kimg);
  }

  private samplingLimits(): SamplingLimits | null {
    const options = this.options();
    if (!options || this.checkpoints().length === 0) return null;
    const kind = isPoints(options.data) ? 'points' : 'images';
    return {
      kind,
      samplers: samplerKinds,
      maxSteps: samplingBounds.steps,
      maxSeeds: samplingBounds[kind],
      classes: options.denoiser.network.labelDim,
      steps: Math.min(options.samples.steps, samplingBounds.steps),
    };
  }
}

const stampOf = (file: ListedFile | undefined): string | undefined => file && `${file.bytes} ${file.written}`;

function labelsOf(options: unknown): string[] {
  try {
    const { data, denoiser, objective, batch } = options as TrainingOptions;
    return [dataLabel(data), archName(denoiser.network), objectiveLabel(objective), `batch ${batch}`];
  } catch {
    return [];
  }
}

/** Six digits, which no screen shows more of; null for NaN, which JSON has not. */
const rounded = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(7)) : null);

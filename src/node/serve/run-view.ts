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
import type { ListedRun } from './run-listing.ts';
import { runState } from './run-state.ts';
import { StatFile } from './stat-file.ts';

/** Options and summaries are small; what is larger is none. */
const mostJsonBytes = 2 ** 21;
const logBytes = 2 ** 16;
const sparkPoints = 48;

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

/** One run folder as the server knows it, kept up to date by `look`. */
export class RunView {
  private listed: ListedRun;
  private readonly statistics: StatFile;
  private optionsRead:
    { readonly written: number; readonly value: unknown; readonly fault: string | undefined } | undefined;
  private summaryRead: { readonly written: number; readonly finished: boolean | undefined } | undefined;
  private lastLogLine: { readonly written: number; readonly line: string | undefined } | undefined;
  private readonly evaluations: EvaluationReports;
  private fault: string | undefined;
  private owner: ReturnType<typeof ownerState> | undefined;
  summary!: RunSummary;

  constructor(
    listed: ListedRun,
    private readonly commandFor: (file: string) => string,
  ) {
    this.listed = listed;
    this.statistics = new StatFile(join(listed.path, runFiles.statistics));
    this.evaluations = new EvaluationReports((name) => this.readJson(name));
  }

  get path(): string {
    return this.listed.path;
  }

  get files(): ListedRun['files'] {
    return this.listed.files;
  }

  /** Looks at what is new in the folder. */
  async look(listed: ListedRun, now: number): Promise<RunSummary> {
    this.listed = listed;
    try {
      const file = listed.files.get(runFiles.statistics);
      await this.statistics.look(file && `${file.bytes} ${file.written}`);
      await this.readSmallFiles();
      this.fault = undefined;
    } catch (error) {
      // A disk that does not answer must not hide the other runs.
      this.fault = `the folder can't be read: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.summary = this.summarize(now);
    return this.summary;
  }

  /** Whether a part of the statistics has not been read yet. */
  get isIncomplete(): boolean {
    return !this.statistics.isExact;
  }

  /** Reads all statistics, with a pause between pieces. */
  complete(pause: () => Promise<void>): Promise<void> {
    return this.statistics.complete(pause);
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
    const { known } = this.statistics;
    const { buckets, range } = whole
      ? { buckets: known, range: { from: 0, to: known.length } }
      : await this.statistics.zoom(key, wish.from / factor, wish.to / factor);
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
    for (const each of this.evaluations.keys)
      if (curves[each] === undefined && (wish.keys?.includes(each) ?? true))
        curves[each] = { mean: this.evaluations.along(each, kimg, { isAll: whole }) };
    return { id: this.listed.id, version: this.summary.version, exact: this.statistics.isExact, x, curves };
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
    const { files } = this.listed;
    const options = files.get(runFiles.options);
    if (!options) this.optionsRead = undefined;
    else if (this.optionsRead?.written !== options.written)
      this.optionsRead = { written: options.written, ...(await this.readJson(runFiles.options)) };
    const summary = files.get(runFiles.summary);
    if (!summary) this.summaryRead = undefined;
    else if (this.summaryRead?.written !== summary.written) {
      const { value } = await this.readJson(runFiles.summary);
      const finished = (value as { finished?: unknown } | null)?.finished;
      this.summaryRead = { written: summary.written, finished: typeof finished === 'boolean' ? finished : undefined };
    }
    await this.evaluations.look(files);
    this.owner = files.has(lockName) ? ownerState(await this.tailOf(lockName, 4096)) : undefined;
    const log = files.get(runFiles.log);
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
    if (!this.listed.files.has(name)) return '';
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
    const { id, files } = this.listed;
    const { known, last } = this.statistics;
    const written = (name: string): number => (files.get(name)?.written ?? 0) / 1000;
    const newest = (names: readonly string[]): number => Math.max(0, ...names.map(written));
    const changed = newest([...files.keys()]);
    // What others leave here, such as reports and figures, is no sign of life.
    const updated = newest([...files.keys()].filter(isWrittenByTraining));
    const finished = this.summaryRead?.finished;
    const { state, note } = this.faults() ?? {
      ...runState({
        now,
        updated,
        secondsPerTick: last.get('Timing/sec_per_tick'),
        statistics: files.has(runFiles.statistics) ? written(runFiles.statistics) : undefined,
        summary: finished === undefined ? undefined : { finished, written: written(runFiles.summary) },
        owner: this.owner,
        lastLine: this.lastLogLine?.line,
      }),
    };
    const options = (this.optionsRead?.value ?? {}) as Partial<TrainingOptions>;
    const secondsPerKimg = last.get('Timing/sec_per_kimg');
    const spark = known.thin('Loss/loss', { from: 0, to: known.length }, sparkPoints).mean;
    return {
      id,
      state,
      note,
      updated,
      labels: labelsOf(options),
      method: options.objective?.kind === 'stf' ? 'stf' : options.objective?.kind === 'dsm' ? 'dsm' : null,
      kimg: last.get(kimgKey) ?? null,
      durationKimg: typeof options.durationKimg === 'number' ? options.durationKimg : null,
      loss: last.get('Loss/loss') ?? null,
      rate: secondsPerKimg ? 1000 / secondsPerKimg : null,
      spark: Array.from(spark, (value) => rounded(value)),
      version: `${known.lines}-${files.size}-${Math.round(changed * 1000)}-${this.statistics.isExact ? 1 : 0}`,
    };
  }

  private faults(): { state: 'broken'; note: string } | undefined {
    if (!this.listed.files.has(runFiles.options)) return { state: 'broken', note: 'options.json is missing' };
    const fault = this.fault ?? this.optionsRead?.fault;
    if (fault !== undefined) return { state: 'broken', note: fault };
    const { damagedLines, known } = this.statistics;
    if (damagedLines > 0 && damagedLines >= known.lines)
      return { state: 'broken', note: `stats.jsonl: ${damagedLines} lines are not JSON` };
    return undefined;
  }

  private pictures(pattern: RegExp): SamplePicture[] {
    return [...this.listed.files]
      .flatMap(([file, { written }]) => {
        const kimg = pattern.exec(file)?.[1];
        return kimg === undefined ? [] : [{ file, kimg: Number(kimg), version: Math.round(written).toString(36) }];
      })
      .sort((a, b) => a.kimg - b.kimg || (a.file < b.file ? -1 : 1));
  }

  private checkpoints(): CheckpointFile[] {
    return [...this.listed.files]
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

const isWrittenByTraining = (name: string): boolean =>
  [runPatterns.checkpoint, runPatterns.samples, /^events\.out\.tfevents\..+$/].some((own) => own.test(name)) ||
  [runFiles.options, runFiles.log, runFiles.statistics, runFiles.summary, lockName].some((own) => own === name);

function labelsOf(options: Partial<TrainingOptions>): string[] {
  try {
    const { data, denoiser, objective, batch } = options as TrainingOptions;
    return [dataLabel(data), archName(denoiser.network), objectiveLabel(objective), `batch ${batch}`];
  } catch {
    return [];
  }
}

/** Six digits, which no screen shows more of; null for NaN, which JSON has not. */
const rounded = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(7)) : null);

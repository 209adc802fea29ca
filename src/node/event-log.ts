import { readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { StfError } from '../errors.ts';
import { eventFileStart, imageRecord, scalarsRecord } from '../formats/event-file.ts';
import { pngHeader } from '../formats/png.ts';
import type { TickStatistics } from '../training/index.ts';
import { AppendedFile } from './appended-file.ts';

/** Names of event files: TensorBoard looks for the first part, and takes those of a folder in the order of their names. */
const namePattern = /^events\.out\.tfevents\.(\d+)\.(.*)$/;

/** The event files of a run folder, in the order in which they were written. */
export const eventFilesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => namePattern.test(name))
    .sort((a, b) => timeOf(a) - timeOf(b) || (a < b ? -1 : 1));

const timeOf = (name: string): number => Number(namePattern.exec(name)![1]);

/** Seconds since 1970 for a new file: later than those of the files that are there, also where the clock was set back. */
function nextTime(folder: string): number {
  const now = Math.floor(Date.now() / 1000);
  return Math.max(now, ...eventFilesIn(folder).map((name) => timeOf(name) + 1));
}

/**
 * What TensorBoard shows of a run: the means of all statistics, and the pictures of samples. The horizontal axis is images
 * seen. Every process writes a file of its own, which begins when there is something to write; one that resumes a run says
 * so, and TensorBoard then leaves out what was written behind the checkpoint.
 */
export class EventLog {
  private file: AppendedFile | undefined;

  /**
   * @param folder      of the run
   * @param resumedFrom images seen when the run went on; undefined for a new one
   */
  constructor(
    private readonly folder: string,
    private readonly resumedFrom?: number,
  ) {}

  /**
   * Adds the statistics of a tick.
   *
   * @returns why that failed, or nothing; what failed is written with the next one
   */
  tick({ values, timestamp }: TickStatistics): StfError | undefined {
    const step = Math.round((values['Progress/kimg']?.mean ?? 0) * 1000);
    const means = Object.entries(values).map(([key, { mean }]) => [key, mean] as const);
    return this.opened().append(scalarsRecord({ wallTime: timestamp, step }, means));
  }

  /**
   * Adds a picture of samples, a PNG file. It is left out while the disk is full: its own file is written later.
   *
   * @returns why that failed, or nothing
   */
  samples(png: Uint8Array, nimg: number): StfError | undefined {
    const file = this.opened();
    const image = { ...pngHeader(png), png };
    return file.flush() ?? file.append(imageRecord({ wallTime: Date.now() / 1000, step: nimg }, 'samples', image));
  }

  /** Makes sure that what was added is on the disk. */
  flush(): StfError | undefined {
    return this.file?.flush({ toDisk: true });
  }

  private opened(): AppendedFile {
    if (this.file) return this.file;
    const time = nextTime(this.folder);
    this.file = new AppendedFile(join(this.folder, `events.out.tfevents.${time}.${hostname()}.${process.pid}`));
    // What was said up to the checkpoint counts: steps are images seen, and the next step has at least one more.
    const start = this.resumedFrom === undefined ? undefined : this.resumedFrom + 1;
    this.file.append(eventFileStart(Date.now() / 1000, start));
    return this.file;
  }
}

import type { FileHandle } from 'node:fs/promises';
import { openPlain } from './plain-file.ts';
import { StatBuckets } from './stat-buckets.ts';
import { lastLine, linesAllOver, textOf, valuesOf } from './stat-line.ts';

/** Bytes that are read and parsed at a time: about a millisecond, so that other requests wait no longer. */
const chunkBytes = 2 ** 18;
/** A line longer than this is no line of statistics. */
const mostLineBytes = 2 ** 20;
/** Up to so many bytes are read at once when they are asked for; of more, some lines give an overview first. */
const atOnceBytes = 2 ** 21;
/** Lines of an overview. */
const overviewLines = 400;
/** Bytes before the place up to which was read, by which one knows that it is still the same file. */
const markBytes = 256;
/** Lines in the stretch that is zoomed into, up to which the file is read again. */
const mostZoomedLines = 20_000;
const newline = 0x0a;

/**
 * A `stats.jsonl` that grows, or that a resumed run wrote anew. Reads what has been added since the last time and keeps
 * it in buckets (see `StatBuckets`), so that memory does not grow with the file. Broken lines are counted and passed over.
 */
export class StatFile {
  private buckets = new StatBuckets();
  private overview: StatBuckets | undefined;
  /** Bytes that are in the buckets. */
  private position = 0;
  private inode = 0;
  /** What stood right before `position`. */
  private mark = new Uint8Array(0);
  private stamp: string | undefined;
  private looking: Promise<void> | undefined;
  private completing: Promise<void> | undefined;
  damagedLines = 0;
  /** Bytes of the file when it was last looked at. */
  size = 0;

  constructor(readonly path: string) {}

  /** Whether every line is in the buckets. */
  get isExact(): boolean {
    return this.position >= this.size;
  }

  /** Memory that this takes, about. */
  get bytes(): number {
    return this.buckets.bytes + (this.overview?.bytes ?? 0);
  }

  /** What is known of the whole file: all lines, or some of them while a long file is read. */
  get known(): StatBuckets {
    return this.isExact || !this.overview ? this.buckets : this.overview;
  }

  /**
   * Looks at the file: reads what is new if that is little, otherwise takes some lines from all over it, which takes
   * milliseconds however long it is. A file that is not there counts as empty.
   *
   * @param stamp  the file is opened only if this is another than the last time
   */
  look(stamp?: string): Promise<void> {
    if (this.completing || (stamp !== undefined && stamp === this.stamp)) return Promise.resolve();
    this.looking ??= this.withFile(async (file) => {
      const isLong = this.size - this.position > atOnceBytes;
      if (isLong) await this.glance(file);
      else await this.readOn(file);
      this.stamp = stamp;
    }).finally(() => (this.looking = undefined));
    return this.looking;
  }

  /**
   * Reads all that is new, however long it takes.
   *
   * @param pause  waited for between two pieces, so that others have their turn
   */
  complete(pause?: () => Promise<void>): Promise<void> {
    this.completing ??= Promise.resolve(this.looking)
      .then(() => this.withFile((file) => this.readOn(file, pause)))
      .finally(() => (this.completing = undefined));
    return this.completing;
  }

  /**
   * Lines whose mean of `key` lies in an interval, from the file if they are few enough for that to show more than the
   * buckets do.
   *
   * @returns buckets and which of them lie in the interval
   */
  async zoom(key: string, from: number, to: number) {
    const known = this.known;
    const range = known.find(key, from, to);
    const isWorthIt =
      this.isExact &&
      known.linesPerBucket > 1 &&
      (range.to - range.from) * known.linesPerBucket <= mostZoomedLines &&
      range.to > range.from;
    if (!isWorthIt) return { buckets: known, range };
    const detail = new StatBuckets();
    // The buckets beside may have lines of the interval as well.
    const [first, behind] = [Math.max(0, range.from - 1), range.to + 1];
    const end = behind < known.length ? known.startOf(behind) : this.position;
    await this.withFile(async (file) => {
      await readLines(file, known.startOf(first), end, (line, position) => {
        const values = valuesOf(line);
        if (values) detail.add(values, position);
      });
    });
    return { buckets: detail, range: detail.find(key, from, to) };
  }

  private async withFile(work: (file: FileHandle) => Promise<void>): Promise<void> {
    let file: FileHandle;
    try {
      file = await openPlain(this.path);
    } catch {
      this.reset(0);
      return;
    }
    try {
      const { size, ino } = await file.stat();
      // Written anew, as when a run is resumed from an earlier point; it may be longer than before by now.
      if (ino !== this.inode || size < this.position || !(await this.isMarked(file))) this.reset(ino);
      this.size = size;
      await work(file);
    } finally {
      await file.close();
    }
  }

  private async isMarked(file: FileHandle): Promise<boolean> {
    const found = await bytesBefore(file, this.position);
    return found.length === this.mark.length && found.every((byte, i) => byte === this.mark[i]);
  }

  private reset(inode: number): void {
    this.buckets = new StatBuckets();
    this.overview = undefined;
    this.position = 0;
    this.mark = new Uint8Array(0);
    this.inode = inode;
    this.size = 0;
    this.stamp = undefined;
    this.damagedLines = 0;
  }

  private async readOn(file: FileHandle, pause?: () => Promise<void>): Promise<void> {
    const { buckets } = this;
    const take = (line: string, position: number): void => {
      const values = valuesOf(line);
      if (values) buckets.add(values, position);
      else this.damagedLines++;
    };
    const end = await readLines(file, this.position, this.size, take, pause);
    // A last line without its end is read when it is complete.
    if (buckets !== this.buckets) return; // the file was written anew meanwhile
    this.position = end;
    this.mark = await bytesBefore(file, end);
    this.size = Math.min(this.size, end);
    this.overview = undefined;
  }

  /** Takes lines from all over the file, and the last one. */
  private async glance(file: FileHandle): Promise<void> {
    const overview = new StatBuckets(512);
    const lines = await linesAllOver(file, this.size, overviewLines);
    const last = await lastLine(file, this.size);
    for (const { values, position } of last ? [...lines, last] : lines) if (values) overview.add(values, position);
    this.overview = overview;
  }
}

async function bytesBefore(file: FileHandle, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(Math.min(end, markBytes));
  if (bytes.length === 0) return bytes; // of which `read` would make an error
  const { bytesRead } = await file.read(bytes, 0, bytes.length, end - bytes.length);
  return bytes.subarray(0, bytesRead);
}

/**
 * Reads whole lines between two places of a file.
 *
 * @returns where the first line begins that is not complete
 */
async function readLines(
  file: FileHandle,
  from: number,
  to: number,
  take: (line: string, position: number) => void,
  pause?: () => Promise<void>,
): Promise<number> {
  let chunk = new Uint8Array(Math.min(chunkBytes, Math.max(to - from, 1)));
  let position = from;
  while (position < to) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, to - position), position);
    if (bytesRead === 0) break;
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0 && end < bytesRead; end = chunk.indexOf(newline, start)) {
      if (end > start) take(textOf(chunk, start, end), position + start);
      start = end + 1;
    }
    if (start === 0 && position + bytesRead >= to) break; // no end of a line yet
    if (start === 0 && chunk.length >= mostLineBytes) {
      take('', position); // counts as broken
      start = bytesRead;
    } else if (start === 0) chunk = new Uint8Array(chunk.length * 2);
    position += start;
    await pause?.();
  }
  return position;
}

import type { FileHandle } from 'node:fs/promises';
import { openPlain } from './plain-file.ts';
import { StatBuckets } from './stat-buckets.ts';
import { bytesOf, lastLine, linesAllOver, textOf, valuesOf } from './stat-line.ts';
import type { LineValues, PlacedLine } from './stat-line.ts';

/** Values of the curve. */
const points = 32;
/** A file up to so many bytes is read as a whole: that takes no longer than lines from all over it. */
const wholeBytes = 2 ** 17;
/** When a file has grown by this factor, the curve is made anew; until then its last line is enough. */
const growth = 1 + 1 / points;
const lossKey = 'Loss/loss';

/**
 * What the list of runs shows of a `stats.jsonl`: its last line and some dozens of values of the loss. It takes a
 * millisecond and some hundred bytes however long the file is, so that there can be thousands.
 */
export class StatSketch {
  private stamp: string | undefined;
  private looking: Promise<void> | undefined;
  /** The file that the curve is of. */
  private drawn = { inode: 0, size: 0 };
  /** Loss over training, NaN where it is not known. */
  loss: readonly number[] = [];
  last: LineValues = new Map();
  /** Lines that were looked at, and those of them that are not JSON. */
  lines = 0;
  damagedLines = 0;

  constructor(readonly path: string) {}

  /**
   * Looks at the file. One that is not there counts as empty.
   *
   * @param stamp  the file is opened only if this is another than the last time
   */
  async look(stamp: string | undefined): Promise<void> {
    while (this.looking) await this.looking; // which may have begun before the last lines came
    if (stamp !== undefined && stamp === this.stamp) return;
    this.looking = this.lookNow(stamp).finally(() => (this.looking = undefined));
    await this.looking;
  }

  private async lookNow(stamp: string | undefined): Promise<void> {
    const file = await openPlain(this.path).catch(() => undefined);
    if (!file) return this.clear();
    try {
      const { size, ino: inode } = await file.stat();
      const { drawn } = this;
      const isDrawn = inode === drawn.inode && size >= drawn.size && size <= drawn.size * growth;
      if (size <= wholeBytes) this.draw(await wholeLines(file, size));
      else if (!isDrawn) this.draw(await linesAllOver(file, size, points));
      if (!isDrawn) this.drawn = { inode, size };
      this.last = (await lastLine(file, size))?.values ?? this.last;
      this.stamp = stamp;
    } finally {
      await file.close();
    }
  }

  private draw(lines: readonly PlacedLine[]): void {
    const buckets = new StatBuckets();
    for (const { values, position } of lines) {
      const loss = values?.get(lossKey);
      if (values) buckets.add(loss === undefined ? [] : [[lossKey, loss]], position);
    }
    this.loss = [...buckets.thin(lossKey, { from: 0, to: buckets.length }, points).mean];
    this.lines = lines.length;
    this.damagedLines = lines.length - buckets.lines;
    this.last = lines.filter(({ values }) => values).at(-1)?.values ?? new Map<string, number>();
  }

  private clear(): void {
    this.draw([]);
    this.drawn = { inode: 0, size: 0 };
    this.stamp = undefined;
  }
}

async function wholeLines(file: FileHandle, size: number): Promise<PlacedLine[]> {
  const bytes = await bytesOf(file, 0, size);
  const text = textOf(bytes, 0, bytes.length);
  // A last line without its end is read when it is complete.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').map((line, position) => ({ values: valuesOf(line), position }));
}

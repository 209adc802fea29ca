import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { StfError } from '../errors.ts';
import { fileError } from './files.ts';

/**
 * A text file that lines are added to while others may read it. A line that can't be written is kept and written before
 * the next one, and nothing of it is left in the file meanwhile. The file is opened for every line, so that it can be
 * moved away.
 */
export class AppendedFile {
  private waiting = '';

  constructor(readonly path: string) {}

  /** Lines that are not in the file yet. */
  get isBehind(): boolean {
    return this.waiting !== '';
  }

  /**
   * Adds a line, and those before it that could not be written.
   *
   * @returns why that failed, or nothing
   */
  append(line: string): StfError | undefined {
    this.waiting += `${line}\n`;
    return this.flush();
  }

  /**
   * Writes what is waiting.
   *
   * @param toDisk  also wait until the file is on the disk
   * @returns why that failed, or nothing
   */
  flush({ toDisk = false }: { toDisk?: boolean } = {}): StfError | undefined {
    if (!this.isBehind && !toDisk) return undefined;
    let file: number | undefined;
    try {
      file = openSync(this.path, 'a+');
      if (this.isBehind) writeWhole(file, this.waiting);
      this.waiting = '';
      if (toDisk) fsyncSync(file);
      return undefined;
    } catch (error) {
      return fileError(`can't write ${this.path}`, error);
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}

/** Adds text to a file, on a line of its own, or leaves the file as it was. */
function writeWhole(file: number, text: string): void {
  const before = fstatSync(file).size;
  const bytes = Buffer.from(isInLine(file, before) ? `\n${text}` : text);
  try {
    for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
  } catch (error) {
    // A device such as /dev/full has no length.
    if (before > 0 || fstatSync(file).isFile()) ftruncateSync(file, before);
    throw error;
  }
}

/** Whether a file ends in the middle of a line, as one that was cut off by a crash. */
function isInLine(file: number, length: number): boolean {
  const last = Buffer.alloc(1);
  return length > 0 && readSync(file, last, 0, 1, length - 1) === 1 && last[0] !== 0x0a;
}

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { StfError } from '../errors.ts';
import { fileError } from './files.ts';

/**
 * A file that pieces are added to while others may read it. A piece that can't be written is kept and written before the
 * next one, and nothing of it is left in the file meanwhile. The file is opened for every piece, so that it can be moved
 * away.
 */
export class AppendedFile {
  private waiting: Uint8Array[] = [];

  /**
   * @param before  what goes between that which is in the file and a piece; nothing when left out
   */
  constructor(
    readonly path: string,
    private readonly before: (file: number, length: number) => Uint8Array = () => new Uint8Array(),
  ) {}

  /** Whether pieces are not in the file yet. */
  get isBehind(): boolean {
    return this.waiting.length > 0;
  }

  /**
   * Adds a piece, and those before it that could not be written.
   *
   * @returns why that failed, or nothing
   */
  append(piece: Uint8Array): StfError | undefined {
    this.waiting.push(piece);
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
      if (this.isBehind) this.writeWhole(file);
      this.waiting = [];
      if (toDisk) fsyncSync(file);
      return undefined;
    } catch (error) {
      return fileError(`can't write ${this.path}`, error);
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  /** Adds what is waiting to a file, or leaves the file as it was. */
  private writeWhole(file: number): void {
    const length = fstatSync(file).size;
    const bytes = Buffer.concat([this.before(file, length), ...this.waiting]);
    try {
      for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
    } catch (error) {
      // A device such as /dev/full has no length.
      if (length > 0 || fstatSync(file).isFile()) ftruncateSync(file, length);
      throw error;
    }
  }
}

/** A text file that lines are added to, each on a line of its own also where the one before was cut off by a crash. */
export class LineFile {
  private readonly file: AppendedFile;

  constructor(readonly path: string) {
    this.file = new AppendedFile(path, (file, length) => Buffer.from(isInLine(file, length) ? '\n' : ''));
  }

  /** Whether lines are not in the file yet. */
  get isBehind(): boolean {
    return this.file.isBehind;
  }

  /** Adds a line; see `AppendedFile.append`. */
  append(line: string): StfError | undefined {
    return this.file.append(Buffer.from(`${line}\n`));
  }

  /** See `AppendedFile.flush`. */
  flush(options: { toDisk?: boolean } = {}): StfError | undefined {
    return this.file.flush(options);
  }
}

/** Whether a file ends in the middle of a line. */
function isInLine(file: number, length: number): boolean {
  const last = Buffer.alloc(1);
  return length > 0 && readSync(file, last, 0, 1, length - 1) === 1 && last[0] !== 0x0a;
}

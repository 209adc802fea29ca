import type { Runtime } from '../../src/runtime/index.ts';
import type { Check } from './check.ts';
import type { Entry, ParityFile, ParityFolder } from './folder.ts';

/** What a checker works with. */
export interface Context {
  readonly runtime: Runtime;
  readonly folder: ParityFolder;
  readonly file: ParityFile;
}

/** Checks one kind of file. */
export interface Checker {
  /** Whether a manifest's entry describes this kind of file. The name of the file does not count. */
  readonly recognises: (entry: Entry) => boolean;
  /**
   * Runs our code on the file's inputs and compares. Every tensor of the file must be used.
   *
   * @returns checks, and those that belong to the line of another file of the folder, by its name
   * @throws Unsupported for data that this project does not handle
   * @throws BadData for a file that is not what its manifest says
   */
  readonly check: (context: Context) => Promise<{ checks: Check[]; others?: ReadonlyMap<string, Check[]> }>;
}

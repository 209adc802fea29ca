import { progressBar } from '../node/progress.ts';
import type { ProgressBar, ProgressOptions } from '../node/progress.ts';
import type { Io } from './io.ts';

/** Lines on stdout, notes on stderr and a progress bar, which do not get in each other's way. */
export interface Console {
  /** A line of results, on stdout. */
  readonly print: (line?: string) => void;
  /** A line on the way to them, on stderr. */
  readonly note: (line: string) => void;
  /** Shows a progress bar on stderr until it is ended or another one begins. */
  readonly progress: (options: ProgressOptions) => ProgressBar;
}

export function makeConsole({ stdout, stderr }: Io): Console {
  let bar: ProgressBar | undefined;
  const between = (write: () => void): void => (bar ? bar.interleave(write) : write());
  return {
    print: (line = '') => between(() => stdout.write(`${line}\n`)),
    note: (line) => between(() => stderr.write(`${line}\n`)),
    progress: (options) => {
      bar?.end();
      const own = progressBar(stderr, options);
      bar = own;
      return {
        ...own,
        end: () => {
          own.end();
          if (bar === own) bar = undefined;
        },
      };
    },
  };
}

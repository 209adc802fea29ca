import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { withoutProgress } from '../support/progress-lines.ts';

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  /** Without lines of progress. */
  readonly stderr: string;
}

/** Runs the command line in this process. `onOutput` sees all text as it is written and may interrupt, as Ctrl-C does. */
export async function stf(
  argv: readonly string[],
  onOutput: (text: string, interrupt: () => void) => void = () => {},
): Promise<Outcome> {
  const controller = new AbortController();
  const text = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof text) => ({
    columns: 100,
    write: (part: string) => {
      text[name] += part;
      onOutput(part, () => controller.abort());
    },
  });
  const code = await run(argv, {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    interrupt: controller.signal,
  });
  return { code, stdout: text.stdout, stderr: withoutProgress(text.stderr) };
}

/** A folder of its own for each test of a file, removed afterwards. */
export function temporaryFolder(): { readonly path: string; join(...parts: string[]): string; list(): string[] } {
  let path = '';
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'stf-cli-'));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    join: (...parts) => join(path, ...parts),
    list: () => readdirSync(path, { recursive: true, encoding: 'utf8' }).sort(),
  };
}

/** A run on points that takes a second: 62 steps of 64 points. */
export const tinyRun = [
  ...['train', '--data', 'eight-gaussians', '--batch', '64', '--reference-batch', '128'],
  ...['--width', '16', '--blocks', '1', '--samples', '100', '--steps', '3'],
  ...['--duration', '0.004', '--tick', '1', '--snap', '1', '--threads', '1'],
];

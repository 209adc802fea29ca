import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
export const main = join(root, 'dist/src/cli/main.js');

const found = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
const isOpenMpi = (found.stdout ?? '').includes('Open MPI');

/** Tests go without MPI where there is none. */
export function requireMpirun(context: TestContext): void {
  context.skip(!isOpenMpi, 'mpirun of Open MPI is not installed (apt-get install openmpi-bin)');
}

/** What a job came to. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Seconds since `drive` was first given the word. */
  readonly seconds: number;
}

/**
 * Runs the built program: in processes of mpirun, or alone where `ranks` is 0. Whatever it prints goes to `drive`, which
 * can do something to it.
 */
export function start(
  ranks: number,
  argv: readonly string[],
  { cwd, drive }: { readonly cwd: string; readonly drive?: (child: ChildProcess, stdout: string) => boolean },
): Promise<Outcome> {
  const launcher = ['--oversubscribe', '--bind-to', 'none', '-np', String(ranks), process.execPath];
  const [program, args] = ranks === 0 ? [process.execPath, []] : ['mpirun', launcher];
  const env = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, main, ...argv], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    let driven: number | undefined;
    child.stdout.on('data', (part: Buffer) => {
      text.stdout += part.toString();
      if (driven === undefined && drive?.(child, text.stdout)) driven = performance.now();
    });
    child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, ...text, seconds: driven === undefined ? NaN : (performance.now() - driven) / 1000 });
    });
  });
}

/** Processes of the ranks that a mpirun started, in no order. */
export function ranksOf({ pid }: ChildProcess): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

/** The only run in a folder. */
export function onlyRun(parent: string): string {
  const [name, ...others] = readdirSync(parent);
  if (name === undefined || others.length > 0) throw new Error(`${parent} has ${others.length + 1} runs, not one`);
  return join(parent, name);
}

/** The mean loss of each tick of a run. */
export const lossesOf = (run: string): number[] =>
  readFileSync(join(run, 'stats.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { 'Loss/loss': { mean: number } })['Loss/loss'].mean);

import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../../src/node/files.ts';
import { fileOf, limits, outcomes, readerOf } from './cases.ts';
import type { CaseResult, Outcome } from './cases.ts';
import type { Report, Work } from './child.ts';
import { readers } from './readers.ts';

export interface FuzzOptions {
  readonly cases: number;
  readonly seed: number;
  /** Where files that were not taken well are put. */
  readonly outdir: string;
  /** Processes at a time. */
  readonly processes?: number;
  readonly print: (line: string) => void;
}

/** A process that stays at one case for so long, in seconds of the clock, is ended. */
const patience = 60;
/** More findings are not told one by one. */
const mostTold = 50;

/**
 * Alters files of every format and reads them: whatever is in them, the answer is a value that such a file can have, or one of
 * our errors, within a second and a gigabyte. Prints a table, puts the files that were not taken so into `outdir`, and says
 * whether there were none.
 */
export async function fuzz({ cases, seed, outdir, processes = 2, print }: FuzzOptions): Promise<boolean> {
  print(`seed ${seed}: ${cases} cases for ${readers.length} readers`);
  const folder = mkdtempSync(join(tmpdir(), 'stf-fuzz-'));
  const resultFile = join(folder, 'results');
  writeFileSync(resultFile, new Uint8Array(cases));
  const started = performance.now();
  const found = new Map<number, CaseResult>();
  const extremes = new Map(readers.map(({ name }) => [name, { seconds: 0, growth: 0 }]));
  const hear = (report: Report): void => {
    if (report.kind === 'found') {
      found.set(report.number, report.result);
      return;
    }
    const worst = extremes.get(report.reader)!;
    worst.seconds = Math.max(worst.seconds, report.seconds);
    worst.growth = Math.max(worst.growth, report.growth);
  };
  try {
    await Promise.all(
      Array.from({ length: processes }, async (_, first) => {
        const statusFile = join(folder, `status-${first}`);
        for (let from = first; from < cases;) {
          const end = await inProcess({ seed, from, to: cases, step: processes, statusFile, resultFile }, hear);
          if (end === undefined) break;
          found.set(end.number, { outcome: 'ended', seconds: 0, growth: 0, message: end.message });
          from = end.number + processes;
        }
      }),
    );
    const results = readFileSync(resultFile);
    for (const [number, { outcome }] of found)
      if (outcome !== 'crashed') {
        // Alone in a new process: what other cases left behind does not count.
        const again = await alone(seed, number, folder);
        results[number] = outcomes.indexOf(again.outcome) + 1;
        if (again.outcome === 'read' || again.outcome === 'refused') found.delete(number);
        else found.set(number, again);
      }
    await report(found, { seed, outdir, print });
    printTable(results, extremes, print);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  print(
    `${found.size === 0 ? 'passed' : `FAILED: ${found.size} of ${cases} cases`} in ${minutes} minutes (seed ${seed})`,
  );
  return found.size === 0;
}

/** Runs cases in a process. Returns the case that ended it, and how, or nothing when it went through. */
function inProcess(
  work: Work,
  hear: (report: Report) => void,
): Promise<{ number: number; message: string } | undefined> {
  writeFileSync(work.statusFile, String(work.from));
  return new Promise((resolve) => {
    const child = fork(join(import.meta.dirname, 'child.js'), [JSON.stringify(work)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: ['--max-old-space-size=2048'],
    });
    let errors = '';
    let isHanging = false;
    let [last, since] = [-1, performance.now()];
    const current = (): number => Number(readFileSync(work.statusFile, 'utf8'));
    const watch = setInterval(() => {
      const number = current();
      if (number !== last) [last, since] = [number, performance.now()];
      isHanging = performance.now() - since > patience * 1000;
      if (isHanging) child.kill('SIGKILL');
    }, 1000);
    child.stderr?.on('data', (text: Buffer) => (errors = `${errors}${text.toString()}`.slice(-4000)));
    child.on('message', (report) => hear(report as Report));
    child.on('close', (code, signal) => {
      clearInterval(watch);
      const how = isHanging
        ? `took more than ${patience} seconds`
        : `the process ended with ${signal ?? code}: ${errors}`;
      resolve(code === 0 ? undefined : { number: current(), message: how });
    });
  });
}

/** One case in a process of its own. */
async function alone(seed: number, number: number, folder: string): Promise<CaseResult> {
  const resultFile = join(folder, 'result');
  writeFileSync(resultFile, new Uint8Array(number + 1));
  let result: CaseResult | undefined;
  const work = { seed, from: number, to: number + 1, step: 1, statusFile: join(folder, 'status'), resultFile };
  const end = await inProcess(work, (report) => {
    if (report.kind === 'found') result = report.result;
  });
  if (end) return { outcome: 'ended', seconds: 0, growth: 0, message: end.message };
  return result ?? { outcome: outcomes[readFileSync(resultFile)[number] - 1], seconds: 0, growth: 0 };
}

/** Tells what went wrong, and keeps the files. */
async function report(
  found: ReadonlyMap<number, CaseResult>,
  { seed, outdir, print }: Pick<FuzzOptions, 'seed' | 'outdir' | 'print'>,
): Promise<void> {
  if (found.size > 0) mkdirSync(outdir, { recursive: true });
  for (const [number, { outcome, seconds, growth, message = '' }] of [...found].slice(0, mostTold)) {
    const path = join(outdir, `case-${seed}-${number}.bin`);
    await writeFileAtomic(path, await fileOf(seed, number));
    print(
      `\ncase ${number}, ${readerOf(number).name}: ${outcome} (${seconds.toFixed(2)} s, ${megabytes(growth)} MB); ${path}\n${message.slice(0, 1500)}`,
    );
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

function printTable(
  results: Uint8Array,
  extremes: ReadonlyMap<string, { seconds: number; growth: number }>,
  print: (line: string) => void,
): void {
  const shown = outcomes.map((outcome) => outcome.padStart(9)).join('');
  print(`\n${'reader'.padEnd(26)}${'cases'.padStart(8)}${shown}${'most CPU s'.padStart(12)}${'most MB'.padStart(9)}`);
  const row = (name: string, counts: ReadonlyMap<Outcome, number>, rest = ''): void => {
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    print(
      `${name.padEnd(26)}${String(total).padStart(8)}${outcomes.map((outcome) => String(counts.get(outcome) ?? 0).padStart(9)).join('')}${rest}`,
    );
  };
  const all = new Map<Outcome, number>();
  readers.forEach(({ name }, index) => {
    const counts = new Map<Outcome, number>();
    for (let number = index; number < results.length; number += readers.length) {
      const outcome = outcomes[results[number] - 1] ?? 'ended';
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      all.set(outcome, (all.get(outcome) ?? 0) + 1);
    }
    const { seconds, growth } = extremes.get(name)!;
    row(name, counts, `${seconds.toFixed(2).padStart(12)}${megabytes(growth).padStart(9)}`);
  });
  row('all', all);
  print(`(limits: ${limits.seconds} s of processor time, ${megabytes(limits.bytes)} MB)`);
}

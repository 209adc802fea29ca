import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outcomes, readerOf, runCase } from './cases.ts';
import type { CaseResult } from './cases.ts';

/** What a process is told to do. */
export interface Work {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** The number of the case at hand is kept here, so that it is known when the process dies. */
  readonly statusFile: string;
  /** One byte a case: the number of its outcome, plus one. */
  readonly resultFile: string;
}

/** What a process tells: the worst that a reader took, or a case that went wrong. */
export type Report =
  | { readonly kind: 'found'; readonly number: number; readonly result: CaseResult }
  | { readonly kind: 'extremes'; readonly reader: string; readonly seconds: number; readonly growth: number };

/* Reads the files of many cases. It is a process of its own, since a file may end it or hold it up for ever. */

async function work({ seed, from, to, step, statusFile, resultFile }: Work): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'stf-fuzz-'));
  const status = openSync(statusFile, 'w');
  const results = openSync(resultFile, 'r+');
  const extremes = new Map<string, { seconds: number; growth: number }>();
  for (let number = from; number < to; number += step) {
    writeSync(status, String(number).padStart(16), 0);
    const result = await runCase(seed, number, folder);
    writeSync(results, Uint8Array.of(outcomes.indexOf(result.outcome) + 1), 0, 1, number);
    if (result.outcome !== 'read' && result.outcome !== 'refused') await tell({ kind: 'found', number, result });
    const { name } = readerOf(number);
    const worst = extremes.get(name) ?? { seconds: 0, growth: 0 };
    worst.seconds = Math.max(worst.seconds, result.seconds);
    worst.growth = Math.max(worst.growth, result.growth);
    extremes.set(name, worst);
  }
  for (const [reader, worst] of extremes) await tell({ kind: 'extremes', reader, ...worst });
  closeSync(status);
  closeSync(results);
  rmSync(folder, { recursive: true, force: true });
}

const tell = (report: Report): Promise<void> =>
  new Promise((resolve, reject) =>
    process.send!(report, undefined, {}, (error) => (error ? reject(error) : resolve())),
  );

// Nobody is left to be told.
process.on('disconnect', () => process.exit());
await work(JSON.parse(process.argv[2]) as Work);
process.disconnect();

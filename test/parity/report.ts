import { closest, share } from './check.ts';
import type { Check } from './check.ts';

export type Verdict = 'ok' | 'FAIL' | 'unsupported';

/** What is printed about one file. */
export interface FileReport {
  readonly folder: string;
  readonly file: string;
  readonly verdict: Verdict;
  readonly checks: readonly Check[];
  /** Why it failed or is not supported, or what an input is used by. */
  readonly note?: string;
}

const number = (value: number): string => value.toExponential(2).padStart(9);

export const heading =
  'abs, rel: largest |a - b| and largest |a - b| / max|b| of the file; tolerance: of the value that comes closest to its own';

/** One line: folder/file, largest absolute and relative error, tolerance, verdict, and what decided it. */
export function formatLine({ folder, file, verdict, checks, note }: FileReport, width = 0): string {
  const worst = closest(checks);
  const numbers = worst
    ? [
        `abs ${number(Math.max(...checks.map(({ absolute }) => absolute)))}`,
        `rel ${number(Math.max(...checks.map(({ relative }) => relative)))}`,
        `tolerance ${number(worst.tolerance)}`,
      ]
    : [`abs ${'-'.padStart(9)}`, `rel ${'-'.padStart(9)}`, `tolerance ${'-'.padStart(9)}`];
  return [`${folder}/${file}`.padEnd(width), ...numbers, verdict.padEnd(11), describe(worst, checks, note)]
    .join('  ')
    .trimEnd();
}

function describe(worst: Check | undefined, checks: readonly Check[], note: string | undefined): string {
  if (!worst) return note ?? '';
  const failed = checks.filter(({ passed }) => !passed).length;
  const count =
    failed > 0
      ? `${failed} of ${checks.length} values beyond tolerance`
      : `${checks.length} value${checks.length === 1 ? '' : 's'}`;
  const of = `${worst.what}: ${worst.absolute.toExponential(1)}, ${(100 * share(worst)).toFixed(0)} %`;
  return [`${count}, closest ${of}`, ...(note ? [note] : [])].join('; ');
}

/** Whether everything passed; unsupported counts as not passing. */
export const allPassed = (reports: readonly FileReport[]): boolean => reports.every(({ verdict }) => verdict === 'ok');

/** The last line. */
export function formatSummary(reports: readonly FileReport[], seconds: number): string {
  const count = (verdict: Verdict): number => reports.filter((report) => report.verdict === verdict).length;
  return `${reports.length} files: ${count('ok')} ok, ${count('FAIL')} FAIL, ${count('unsupported')} unsupported (${seconds.toFixed(1)} s)`;
}

/** Everything for a program to read; infinities become null, as JSON has none. */
export const toJson = (reports: readonly FileReport[]): string =>
  JSON.stringify({ passed: allPassed(reports), files: reports.map((report) => withWorst(report)) }, undefined, 2);

const withWorst = (report: FileReport) => ({
  ...report,
  absolute: report.checks.length === 0 ? null : Math.max(...report.checks.map(({ absolute }) => absolute)),
  relative: report.checks.length === 0 ? null : Math.max(...report.checks.map(({ relative }) => relative)),
  closest: closest(report.checks) ?? null,
});

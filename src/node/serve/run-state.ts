import type { RunState } from './api.ts';

/** Without a sign of life for so many times the length of a tick, and at least so many seconds, a run has ended. */
const [patienceTicks, patienceSeconds] = [5, 120];

/** What the state of a run is read from. Times in seconds since 1970. */
export interface SignsOfLife {
  readonly now: number;
  /** When statistics, log, options or a checkpoint were last written. */
  readonly updated: number;
  /** Seconds of the last tick, where there was one. */
  readonly secondsPerTick: number | undefined;
  /** What summary.json says, and when it was written; undefined where there is none. */
  readonly summary: { readonly finished: boolean; readonly written: number } | undefined;
  /** When the last statistics were written. */
  readonly statistics: number | undefined;
  /** Of the process that holds the folder; undefined where none does. */
  readonly owner?: 'lives' | 'gone' | 'unseen' | undefined;
  /** The last line of the log. */
  readonly lastLine: string | undefined;
}

/** How a run stands, and how one can tell. */
export function runState(signs: SignsOfLife): { readonly state: RunState; readonly note: string | null } {
  const { now, updated, summary, statistics, secondsPerTick = 0, lastLine, owner } = signs;
  if (owner === 'lives') return { state: 'running', note: null };
  // A run that was taken up again writes statistics after the summary of its first part.
  if (summary && summary.written + 1 >= (statistics ?? 0))
    return summary.finished ? { state: 'done', note: null } : { state: 'stopped', note: 'stopped before its end' };
  const silence = now - updated;
  const isPatient = silence < Math.max(patienceSeconds, patienceTicks * secondsPerTick);
  if (owner !== 'gone' && isPatient) return { state: 'running', note: null };
  const what = `ended without a summary, silent for ${inWords(Math.max(0, silence))}`;
  return { state: 'failed', note: lastLine !== undefined && /error/i.test(lastLine) ? `${what}: ${lastLine}` : what };
}

/** A time in its largest unit: `3 hours`. */
function inWords(seconds: number): string {
  const units = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ] as const;
  const [unit, size] = units.find(([, each]) => seconds >= each) ?? (['second', 1] as const);
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

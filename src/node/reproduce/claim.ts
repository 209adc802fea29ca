import type { Runtime } from '../../runtime/index.ts';
import type { Table } from '../../report/table.ts';
import type { TrainingRun } from './recipes.ts';

/** How much is spent on a claim: seconds, minutes on two cores, or the published recipe in full. */
export const scales = ['smoke', 'small', 'paper'] as const;
export type Scale = (typeof scales)[number];

/** What a claim has to work with. */
export interface ClaimContext {
  readonly runtime: Runtime;
  /** Where its results and its half-finished work go. */
  readonly folder: string;
  /** A line on the way. */
  readonly note: (line: string) => void;
  /** Starts a progress bar; the function it returns says how much is done. */
  readonly begin: (work: { unit: string; total: number }) => (done: number) => void;
  /** When aborted the claim throws `ClaimStopped`, and the same command goes on later. */
  readonly signal: { readonly aborted: boolean };
}

/** The user stopped a claim; what was done is kept. */
export class ClaimStopped extends Error {
  override name = 'ClaimStopped';
}

/** What the numbers say. */
export interface Verdict {
  readonly outcome: 'shown' | 'partly shown' | 'not shown';
  /** The rule by which the numbers were judged, stated before they were seen. */
  readonly rule: string;
  /** The numbers that decided, in words. */
  readonly because: string;
}

export interface ClaimResult {
  /** By name of their files; `table` is the one that decides. */
  readonly tables: Readonly<Record<string, Table>>;
  /** SVG documents by name of their files. */
  readonly figures: Readonly<Record<string, string>>;
  readonly verdict: Verdict;
}

/** One claim of the paper, with what is done to see whether it shows. */
export interface Claim<Settings extends object = object> {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  /** What the paper says, in our words. */
  readonly statement: string;
  /** What a scale means: plain data, written beside the results. */
  readonly settings: Readonly<Record<Scale, Settings>>;
  /** The training runs, for the estimate of time; none for claims about targets alone. */
  trainings(settings: Settings): readonly TrainingRun[];
  run(settings: Settings, context: ClaimContext): Promise<ClaimResult>;
}

/** A claim at a scale, its settings filled in. */
export interface ClaimPlan {
  readonly name: string;
  readonly summary: string;
  readonly statement: string;
  readonly scale: Scale;
  readonly settings: object;
  readonly trainings: readonly TrainingRun[];
  /** Of its runs, or of its noisy images. */
  readonly seeds: readonly number[];
  run(context: ClaimContext): Promise<ClaimResult>;
}

import type { RunDetail, RunSummary } from './server.ts';

/** A run with what one needs to show it beside others. */
export interface ShownRun {
  readonly detail: RunDetail;
  /** Always the newest. */
  readonly summary: RunSummary;
  /** Short enough for a legend. */
  readonly name: string;
  /** Name of a colour of theme.css. */
  readonly color: string;
}

import type { RunSummary, ServerEvent } from './api.ts';

/**
 * Tells one listener what it has not been told yet: at first all runs, then what has changed. What the list shows of a run
 * changes with its state, its version and its note, which may tell how long it has been silent.
 *
 * @returns a function that is given all runs and returns the news; undefined when there are none
 */
export function runNews(): (runs: readonly RunSummary[]) => ServerEvent | undefined {
  let told: Map<string, RunSummary> | undefined;
  return (runs) => {
    const before = told;
    told = new Map(runs.map((run) => [run.id, run]));
    if (!before) return { kind: 'runs', runs };
    const gone = [...before.keys()].filter((id) => !told!.has(id));
    const changed = runs.filter((run) => {
      const known = before.get(run.id);
      if (known === run) return false;
      return known?.state !== run.state || known.version !== run.version || known.note !== run.note;
    });
    return changed.length + gone.length > 0 ? { kind: 'changes', runs: changed, gone } : undefined;
  };
}

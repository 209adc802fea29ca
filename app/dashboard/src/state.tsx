import type { JSX } from 'preact';
import type { RunSummary } from './server.ts';

const meaning: Readonly<Record<RunSummary['state'], string>> = {
  running: 'It gave a sign of life lately',
  done: 'It trained to its end',
  stopped: 'It was stopped and can go on',
  failed: 'It ended without a summary',
  broken: 'Its folder cannot be read as a run',
};

/** How a run stands: a word with a sign of its own, so that colour is not all. */
export function State({ state }: { state: RunSummary['state'] }): JSX.Element {
  return (
    <span class={`state ${state}`} title={meaning[state]}>
      <i aria-hidden="true" />
      {state}
    </span>
  );
}

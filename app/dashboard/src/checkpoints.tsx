import type { JSX } from 'preact';
import { Command, Empty } from '../../shared/components.tsx';
import { ago, bytes, kimg } from './format.ts';
import type { ShownRun } from './shown-run.ts';
import { filePath } from './server.ts';

/** Checkpoints with what one does with them. */
export function Checkpoints({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const all = runs.flatMap((run) => run.detail.checkpoints.map((checkpoint) => ({ run, checkpoint })));
  if (all.length === 0) {
    return (
      <Empty title="No checkpoint yet">
        <p>
          A run writes one every few ticks (--snap) and at its end. Ctrl-C in the terminal of the run writes one as well
          and stops it; it can go on later.
        </p>
      </Empty>
    );
  }
  return (
    <ul class="checkpoints">
      {all.map(({ run, checkpoint }) => (
        <li key={`${run.summary.id}/${checkpoint.file}`} class="card">
          <div class="checkpoint-head">
            <h2>
              {runs.length > 1 && <i class={`swatch bg-${run.color}`} aria-hidden="true" />}
              {runs.length > 1 && `${run.name}, `}
              {kimg(checkpoint.kimg)} images
            </h2>
            <span class="muted small">
              {checkpoint.file} · {bytes(checkpoint.bytes)} · {ago(checkpoint.written)}
            </span>
            <a class="button" href={filePath(run.summary.id, checkpoint.file)} download={checkpoint.file}>
              Download<span class="hidden-visually"> {checkpoint.file}</span>
            </a>
          </div>
          <Command text={checkpoint.command} label={`Copy the command that samples from ${checkpoint.file}`} />
        </li>
      ))}
    </ul>
  );
}

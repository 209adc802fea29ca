import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Command, Empty } from '../../shared/components.tsx';
import { ago, kimg, runNumber, short } from './format.ts';
import { addressOf } from './route.ts';
import type { Live, RunSummary } from './server.ts';
import { Sparkline } from './sparkline.tsx';
import { State } from './state.tsx';

/** All runs; some can be chosen to be compared. */
export function RunList({ live }: { live: Live }): JSX.Element {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { runs } = live;
  if (!runs) return <p class="loading">Opening the runs …</p>;
  if (runs.length === 0) return <NoRuns />;
  const toggle = (id: string): void => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const compared = runs.map(({ id }) => id).filter((id) => chosen.has(id));
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Runs</h1>
          <p class="muted">{inWords(runs)}</p>
        </div>
        <div class="actions">
          {compared.length > 0 && (
            <button type="button" class="quiet" onClick={() => setChosen(new Set())}>
              Choose none
            </button>
          )}
          <a
            class={`button ${compared.length >= 2 ? 'primary' : 'idle'}`}
            {...(compared.length >= 2 ? { href: addressOf(compared) } : { 'aria-disabled': 'true', role: 'link' })}
          >
            {compared.length >= 2 ? `Compare ${compared.length} runs` : 'Choose two runs to compare'}
          </a>
        </div>
      </div>
      <ul class="runs" aria-label="Runs">
        <li class="run-row head" aria-hidden="true">
          <span />
          <span>Run</span>
          <span>State</span>
          <span>Progress</span>
          <span class="number">Loss</span>
          <span>Over training</span>
          <span class="number">Images/s</span>
          <span class="number">Last sign</span>
        </li>
        {runs.map((run) => (
          <Row key={run.id} run={run} isChosen={chosen.has(run.id)} onToggle={() => toggle(run.id)} />
        ))}
      </ul>
    </>
  );
}

function Row({ run, isChosen, onToggle }: { run: RunSummary; isChosen: boolean; onToggle: () => void }): JSX.Element {
  const { id, state, note, labels, method } = run;
  const share = run.kimg !== null && run.durationKimg ? Math.min(1, run.kimg / run.durationKimg) : null;
  return (
    <li class={`run-row ${isChosen ? 'chosen' : ''}`}>
      <label class="choose">
        <input type="checkbox" checked={isChosen} onChange={onToggle} />
        <span class="hidden-visually">Compare {id}</span>
      </label>
      <div class="name">
        <a href={addressOf([id])}>
          {labels.length > 0 ? (
            <>
              <b>{runNumber(id)}</b> {labels[0]}
            </>
          ) : (
            id
          )}
        </a>
        {labels.length > 0 && (
          <span class="muted small labels">
            {method && <i class={`swatch bg-${method}`} aria-hidden="true" />}
            {labels.slice(1).join(' · ')}
          </span>
        )}
        {note && <span class={`small why ${state}`}>{note}</span>}
      </div>
      <State state={state} />
      <div class="progress-cell">
        {share !== null ? (
          <>
            <progress value={share} max={1} aria-label={`${Math.round(share * 100)} % of ${id} done`} />
            <span class="small muted">
              {kimg(run.kimg)} of {kimg(run.durationKimg)}
            </span>
          </>
        ) : (
          <span class="small muted">{run.kimg === null ? 'not begun' : kimg(run.kimg)}</span>
        )}
      </div>
      <span class="number" data-label="loss">
        {short(run.loss)}
      </span>
      <span class="spark-cell">
        <Sparkline values={run.spark} color={method ?? 'data'} label={`Loss of ${id} over training`} />
      </span>
      <span class="number" data-label="images/s">
        {short(run.rate)}
      </span>
      <span class="number muted small when">{ago(run.updated)}</span>
    </li>
  );
}

function inWords(runs: readonly RunSummary[]): string {
  const counts = new Map<string, number>();
  for (const { state } of runs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

function NoRuns(): JSX.Element {
  return (
    <Empty title="No runs here yet" isPage>
      <p>
        This page shows what training leaves in its folder, while it is written. Start one and come back, the run
        appears by itself:
      </p>
      <Command text="stf train --preset toy-2d" />
      <p class="muted">
        It trains on eight Gaussians and takes a minute. If your runs are elsewhere, give their folder: stf serve
        FOLDER.
      </p>
    </Empty>
  );
}

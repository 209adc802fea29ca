import type { JSX } from 'preact';
import { useCallback, useMemo, useState } from 'preact/hooks';
import { Command, Empty } from '../../shared/components.tsx';
import { ago, kimg, runNumber, short } from './format.ts';
import { addressOf } from './route.ts';
import { orders, shownRuns } from './run-order.ts';
import type { Order } from './run-order.ts';
import type { Live, RunSummary } from './server.ts';
import { Sparkline } from './sparkline.tsx';
import { State } from './state.tsx';

/** So many runs are seen at a glance; more can be filtered and sorted. */
const fewRuns = 8;

/** All runs; some can be chosen to be compared. */
export function RunList({ live }: { live: Live }): JSX.Element {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [words, setWords] = useState('');
  const [order, setOrder] = useState<Order>('newest');
  const { runs } = live;
  const shown = useMemo(() => shownRuns(runs ?? [], words, order), [runs, words, order]);
  const toggle = useCallback((id: string): void => {
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);
  if (!runs) return <p class="loading">Opening the runs …</p>;
  if (runs.length === 0) return <NoRuns />;
  const compared = runs.map(({ id }) => id).filter((id) => chosen.has(id));
  return (
    <>
      <div class="page-head">
        <div>
          <h1>Runs</h1>
          <p class="muted" role="status">
            {words.trim() === '' ? inWords(runs) : `${shown.length} of ${runs.length}: ${inWords(shown) || 'none'}`}
          </p>
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
      {runs.length > fewRuns && (
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <label class="field words">
            <span>Filter</span>
            <input
              type="search"
              value={words}
              placeholder="name, data, state …"
              autocomplete="off"
              onInput={(event) => setWords(event.currentTarget.value)}
            />
          </label>
          <label class="field">
            <span>Sort by</span>
            <select value={order} onChange={(event) => setOrder(event.currentTarget.value as Order)}>
              {orders.map(([value, name]) => (
                <option key={value} value={value}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        </form>
      )}
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
        {shown.map((run) => (
          <Row key={run.id} run={run} isChosen={chosen.has(run.id)} toggle={toggle} />
        ))}
      </ul>
      {shown.length === 0 && (
        <p class="loading">
          No run has all these words in its name, its data, network or objective, or its state.{' '}
          <button type="button" class="quiet" onClick={() => setWords('')}>
            Show all
          </button>
        </p>
      )}
    </>
  );
}

interface RowProps {
  readonly run: RunSummary;
  readonly isChosen: boolean;
  readonly toggle: (id: string) => void;
}

/** A run of the list. Made anew only when something in it changes: there may be thousands. */
function Row({ run, isChosen, toggle }: RowProps): JSX.Element {
  const when = ago(run.updated);
  return useMemo(() => rowOf(run, isChosen, toggle, when), [run, isChosen, toggle, when]);
}

function rowOf(run: RunSummary, isChosen: boolean, toggle: (id: string) => void, when: string): JSX.Element {
  const { id, state, note, labels, method } = run;
  const share = run.kimg !== null && run.durationKimg ? Math.min(1, run.kimg / run.durationKimg) : null;
  return (
    <li class={`run-row ${isChosen ? 'chosen' : ''}`}>
      <label class="choose">
        <input type="checkbox" checked={isChosen} onChange={() => toggle(id)} />
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
      <span class="number muted small when">{when}</span>
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

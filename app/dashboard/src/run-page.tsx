import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Empty } from '../../shared/components.tsx';
import { Checkpoints } from './checkpoints.tsx';
import { Curves } from './curves.tsx';
import { Draw } from './draw.tsx';
import { kimg, runNumber } from './format.ts';
import { Machine } from './machine.tsx';
import { Options } from './options.tsx';
import { Phases } from './phases.tsx';
import { addressOf, views } from './route.ts';
import type { Route } from './route.ts';
import { runColors } from './run-colors.ts';
import { Samples } from './samples.tsx';
import type { ShownRun } from './shown-run.ts';
import { fetchRun } from './server.ts';
import type { Live, RunDetail, RunSummary } from './server.ts';
import { State } from './state.tsx';

/** One run, or several side by side. */
export function RunPage({ route, live }: { route: Route; live: Live }): JSX.Element {
  const { details, fault } = useRuns(route.runs, live);
  const shown = useMemo((): ShownRun[] => {
    const found = route.runs.flatMap((id) => details.get(id) ?? []);
    const summaries = found.map(({ summary }) => live.runs?.find(({ id }) => id === summary.id) ?? summary);
    const colors = runColors(summaries);
    return found.map((detail, i) => {
      const summary = summaries[i];
      return {
        detail,
        summary,
        color: colors[i],
        name: [runNumber(summary.id), ...summary.labels.slice(2, 3)].join(' '),
      };
    });
  }, [details, live.runs, route.runs.join()]);

  // On a narrow screen the tabs are wider than the page.
  const isShown = shown.length > 0;
  useEffect(() => {
    document.querySelector('.tabs [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [route.view, isShown]);

  if (fault !== undefined && shown.length === 0) {
    return (
      <Empty title="This run is not here" isPage>
        <p>{fault}</p>
        <a class="button" href={addressOf([])}>
          All runs
        </a>
      </Empty>
    );
  }
  if (shown.length === 0) return <p class="loading">Reading the run …</p>;
  const isOne = shown.length === 1;
  return (
    <>
      <div class="page-head run-head">
        <div>
          <p class="crumbs small">
            <a href={addressOf([])}>Runs</a>
          </p>
          {isOne ? <OneTitle run={shown[0]} /> : <h1>{shown.length} runs side by side</h1>}
        </div>
        {isOne && <Facts run={shown[0].summary} />}
      </div>
      {!isOne && <Legend runs={shown} />}
      {shown.map(
        ({ summary: { id, state, note } }) =>
          note !== null &&
          (state === 'broken' || state === 'failed') && (
            <p key={id} class={`note ${state === 'broken' ? 'bad' : 'warn'}`}>
              {isOne ? '' : `${runNumber(id)}: `}
              {note}
            </p>
          ),
      )}
      <nav class="tabs" aria-label="Views of the run">
        {views.map(([view, name]) => (
          <a key={view} href={addressOf(route.runs, view)} aria-current={view === route.view ? 'page' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <div class="view">{viewOf(route, shown, live)}</div>
    </>
  );
}

function viewOf({ view }: Route, runs: readonly ShownRun[], live: Live): JSX.Element {
  switch (view) {
    case 'curves':
      return <Curves runs={runs} />;
    case 'samples':
      return <Samples runs={runs} />;
    case 'phases':
      return <Phases runs={runs} />;
    case 'options':
      return <Options runs={runs} />;
    case 'checkpoints':
      return <Checkpoints runs={runs} />;
    case 'draw':
      return <Draw runs={runs} />;
    case 'machine':
      return <Machine runs={runs} live={live} />;
  }
}

/** Details of some runs, fetched anew whenever the server says that something has changed. */
function useRuns(
  ids: readonly string[],
  live: Live,
): { details: ReadonlyMap<string, RunDetail>; fault: string | undefined } {
  const [details, setDetails] = useState<ReadonlyMap<string, RunDetail>>(new Map());
  const [fault, setFault] = useState<string | undefined>();
  const known = useRef(new Map<string, string>());
  const versionOf = (id: string): string => live.runs?.find((run) => run.id === id)?.version ?? '';
  const versions = ids.map(versionOf).join();
  useEffect(() => {
    if (!live.runs) return;
    for (const id of ids.filter((each) => known.current.get(each) !== versionOf(each))) {
      const version = versionOf(id);
      known.current.set(id, version);
      fetchRun(id).then(
        // An answer that was overtaken by a later one is not shown.
        (detail) => known.current.get(id) === version && setDetails((before) => new Map(before).set(id, detail)),
        (error: unknown) => setFault(`${id}: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
  }, [ids.join('\n'), versions]);
  return { details, fault };
}

function OneTitle({ run: { summary } }: { run: ShownRun }): JSX.Element {
  const [data, ...rest] = summary.labels;
  return (
    <>
      <h1>
        <span class="run-number">{runNumber(summary.id)}</span> {data ?? ''} <State state={summary.state} />
      </h1>
      <p class="muted labels">
        {summary.method && <i class={`swatch bg-${summary.method}`} aria-hidden="true" />}
        {rest.length > 0 ? rest.join(' · ') : summary.id}
      </p>
    </>
  );
}

function Facts({ run }: { run: RunSummary }): JSX.Element {
  const facts: [string, string][] = [
    ['Images', run.durationKimg === null ? kimg(run.kimg) : `${kimg(run.kimg)} of ${kimg(run.durationKimg)}`],
    ['Loss', run.loss === null ? '–' : run.loss.toPrecision(3)],
    ['Images a second', run.rate === null ? '–' : Math.round(run.rate).toLocaleString('en')],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt class="muted small">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Legend({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  return (
    <ul class="legend" aria-label="Runs that are compared">
      {runs.map(({ summary, name, color }) => (
        <li key={summary.id}>
          <i class={`swatch bg-${color}`} aria-hidden="true" />
          <a href={addressOf([summary.id])}>{name}</a>
          <span class="muted small">{[summary.labels[0], kimg(summary.kimg)].filter(Boolean).join(' · ')}</span>
          <State state={summary.state} />
        </li>
      ))}
    </ul>
  );
}

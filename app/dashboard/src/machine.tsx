import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { runNumber } from './format.ts';
import type { ShownRun } from './shown-run.ts';
import { fetchLog } from './server.ts';
import type { Live } from './server.ts';

/** How busy the machine is that serves this page, and the logs of the runs. */
export function Machine({ runs, live }: { runs: readonly ShownRun[]; live: Live }): JSX.Element {
  const now = live.system.at(-1);
  return (
    <>
      <section class="group">
        <header>
          <h2>This machine, the last minutes</h2>
        </header>
        {now ? (
          <div class="meters">
            <Meter
              name="Processor"
              values={live.system.map(({ cpu }) => cpu)}
              text={`${Math.round(now.cpu * 100)} % of ${now.cores} cores`}
            />
            <Meter
              name="Memory"
              values={live.system.map(({ memoryUsed, memoryTotal }) => memoryUsed / memoryTotal)}
              text={`${now.memoryUsed.toFixed(1)} of ${now.memoryTotal.toFixed(1)} GiB`}
            />
            <Meter
              name="This server"
              values={live.system.map(({ server, memoryTotal }) => server / memoryTotal)}
              text={`${(now.server * 1024).toFixed(0)} MiB of memory`}
            />
          </div>
        ) : (
          <p class="muted">The first measurement takes two seconds.</p>
        )}
      </section>
      {runs.map((run) => (
        <Log key={run.summary.id} run={run} />
      ))}
    </>
  );
}

const [width, height] = [240, 56];

function Meter({ name, values, text }: { name: string; values: readonly number[]; text: string }): JSX.Element {
  const points = values.map((value, i) => {
    const x = width - (values.length - 1 - i) * 2;
    return `${x.toFixed(1)},${(height - 1 - value * (height - 2)).toFixed(1)}`;
  });
  const first = width - (values.length - 1) * 2;
  return (
    <div class="meter">
      <h3>{name}</h3>
      <p>{text}</p>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${name}: ${text}`} preserveAspectRatio="none">
        <polygon points={`${first},${height} ${points.join(' ')} ${width},${height}`} class="meter-fill" />
        <polyline points={points.join(' ')} class="stroke-accent" />
      </svg>
    </div>
  );
}

function Log({ run }: { run: ShownRun }): JSX.Element {
  const { id, version } = run.summary;
  const [text, setText] = useState<string>();
  const box = useRef<HTMLPreElement>(null);
  // The last lines are what one looks for.
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  useEffect(() => {
    let isOver = false;
    fetchLog(id).then(
      (log) => void (isOver || setText(log)),
      () => {},
    );
    return () => {
      isOver = true;
    };
  }, [id, version]);
  return (
    <section class="group">
      <header>
        <h2>Log of {runNumber(id)}</h2>
        <p class="muted small">{id}</p>
      </header>
      <pre ref={box} class="log" tabIndex={0} role="region" aria-label={`Log of ${id}`}>
        {text === undefined
          ? 'Reading the log …'
          : text === ''
            ? 'Nothing has been written yet.'
            : text.split('\n').slice(-200).join('\n')}
      </pre>
    </section>
  );
}

import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Empty, Segments, Slider } from '../../shared/components.tsx';
import { Chart } from './chart.tsx';
import type { ChartLine } from './chart.tsx';
import { chartGroups } from './chart-specs.ts';
import type { ChartGroup, ChartSpec } from './chart-specs.ts';
import { commonAxis, drawnLine, placesOn } from './curve-data.ts';
import type { ShownRun } from './shown-run.ts';
import { fetchSeries } from './server.ts';
import type { Axis, RunSeries } from './server.ts';

const axisTitles: Readonly<Record<Axis, string>> = {
  images: 'thousand images',
  steps: 'steps',
  time: 'seconds of training',
};

/** Of several runs no more is asked for than can be told apart. */
const pointsFor = (runs: number): number => (runs <= 4 ? 700 : 350);
const bandedRuns = 3;
/** Milliseconds between two questions. */
const pauseMs = 400;

/** The curves of one run or several. */
export function Curves({ runs }: { runs: readonly ShownRun[] }): JSX.Element {
  const [axis, setAxis] = useState<Axis>('images');
  const [smoothing, setSmoothing] = useState(0.6);
  const [isLog, setLog] = useState(true);
  const [range, setRange] = useState<readonly [number, number] | null>(null);
  const [isOpen, setOpen] = useState(false);

  const keys = [...new Set(runs.flatMap(({ detail }) => detail.keys))];
  const groups = useMemo(() => chartGroups(keys), [keys.join('\n')]);
  const first = groups.filter(({ title }) => title !== 'Everything else');
  const wanted = (isOpen ? groups : first).flatMap(({ charts }) =>
    charts.flatMap(({ lines }) => lines.map(({ key }) => key)),
  );
  const { series, fault } = useSeries(runs, wanted, axis, range);

  if (keys.length === 0) {
    return (
      <Empty title="No statistics yet">
        <p>The first line is written after the first step. The curves appear here by themselves.</p>
      </Empty>
    );
  }
  const isReading = series?.some(({ exact }) => !exact) ?? false;
  const rest = groups.find(({ title }) => title === 'Everything else');
  const shown = { runs, series: series ?? [], axis, smoothing, isLog, range, onZoom: setRange };
  return (
    <>
      <div class="controls" role="group" aria-label="How the curves are drawn">
        <Segments
          label="Along"
          options={[
            ['images', 'Images'],
            ['steps', 'Steps'],
            ['time', 'Time'],
          ]}
          value={axis}
          onChange={(next) => {
            setRange(null);
            setAxis(next);
          }}
        />
        <Segments
          label="Scale"
          options={[
            ['log', 'Log'],
            ['linear', 'Linear'],
          ]}
          value={isLog ? 'log' : 'linear'}
          onChange={(next) => setLog(next === 'log')}
        />
        <Slider
          label="Smoothing"
          value={smoothing}
          max={0.98}
          step={0.02}
          text={smoothing === 0 ? 'none' : smoothing.toFixed(2)}
          onChange={setSmoothing}
        />
        <span class="muted small hint">
          {isReading ? 'Reading the rest of a long file …' : range === null ? 'Drag in a chart to zoom' : ''}
        </span>
        {range !== null && (
          <button type="button" onClick={() => setRange(null)}>
            Show all
          </button>
        )}
      </div>
      {fault !== undefined && <p class="note warn">{fault}</p>}
      {first.map((group) => (
        <Group key={group.title} group={group} {...shown} />
      ))}
      {rest && (
        <details class="more" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>
            Everything else <span class="muted">{rest.charts.length} quantities</span>
          </summary>
          {isOpen && <Group group={{ ...rest, title: '' }} {...shown} />}
        </details>
      )}
    </>
  );
}

interface Shown {
  readonly runs: readonly ShownRun[];
  readonly series: readonly RunSeries[];
  readonly axis: Axis;
  readonly smoothing: number;
  readonly isLog: boolean;
  readonly range: readonly [number, number] | null;
  readonly onZoom: (range: readonly [number, number] | null) => void;
}

function Group({ group, ...shown }: { group: ChartGroup } & Shown): JSX.Element {
  return (
    <section class="group">
      {group.title !== '' && (
        <header>
          <h2>{group.title}</h2>
          {group.note !== undefined && <p class="muted small">{group.note}</p>}
        </header>
      )}
      <div class={`charts ${group.charts[0].size}`}>
        {group.charts.map((spec) => (
          <OneChart key={spec.id} spec={spec} {...shown} />
        ))}
      </div>
    </section>
  );
}

function OneChart({
  spec,
  runs,
  series,
  axis,
  smoothing,
  isLog,
  range,
  onZoom,
}: { spec: ChartSpec } & Shown): JSX.Element {
  const isOne = runs.length === 1;
  const isOnLog = isLog && spec.isAlwaysLinear !== true;
  const { x, lines } = useMemo(() => {
    const known = series.filter(({ x: places }) => places.length > 0);
    const places = known.length === 0 ? [] : commonAxis(known);
    const made = runs.flatMap((run) => {
      const own = known.find(({ id }) => id === run.summary.id);
      if (!own) return [];
      const at = placesOn(places, own.x);
      return spec.lines.flatMap((line): ChartLine[] => {
        const { transform } = spec;
        const data = drawnLine(own, line.key, at, places.length, {
          weight: spec.isMeasured ? 0 : smoothing,
          isLog: isOnLog,
          transform,
        });
        if (!data) return [];
        const label = isOne ? line.label : spec.lines.length > 1 ? `${run.name}, ${line.label}` : run.name;
        const color = isOne ? line.color : run.color;
        const note = spec.lines.length > 1 ? line.label : undefined;
        return [{ label, note, color, dash: isOne ? undefined : line.dash, data }];
      });
    });
    return { x: places, lines: made };
  }, [spec, runs, series, smoothing, isOnLog]);
  return (
    <Chart
      title={spec.title}
      unit={[spec.unit, countText(lines)].filter((part) => part !== '').join(', ')}
      axisTitle={axisTitles[axis]}
      x={x}
      lines={lines}
      isLog={isOnLog}
      isSmooth={smoothing > 0}
      isMeasured={spec.isMeasured ?? false}
      range={range}
      onZoom={onZoom}
      height={spec.size === 'half' ? 230 : 190}
    />
  );
}

/** Of how many samples the numbers of a chart are: those of few do not compare with those of many. */
function countText(lines: readonly ChartLine[]): string {
  const counts = lines.flatMap(({ data }) => data.count ?? []).filter((count): count is number => (count ?? 0) > 0);
  if (counts.length === 0) return '';
  const [least, most] = [Math.min(...counts), Math.max(...counts)].map((count) => count.toLocaleString('en'));
  return least === most ? `${most} samples` : `${least} to ${most} samples`;
}

/** Curves of some runs; asked for anew when a run has more, and what is shown stays until the answer is there. */
function useSeries(
  runs: readonly ShownRun[],
  keys: readonly string[],
  axis: Axis,
  range: readonly [number, number] | null,
): { series: readonly RunSeries[] | undefined; fault: string | undefined } {
  const [answer, setAnswer] = useState<{ axis: Axis; series: readonly RunSeries[] }>();
  const [fault, setFault] = useState<string>();
  const ids = runs.map(({ summary }) => summary.id);
  const versions = runs.map(({ summary }) => summary.version).join('\n');
  const wanted = useRef(versions);
  wanted.current = versions;
  const [again, setAgain] = useState(0);
  const busy = useRef(false);
  const question = [ids.join('\n'), keys.join('\n'), axis, range?.join()].join('|');

  useEffect(() => {
    if (keys.length === 0) return;
    const controller = new AbortController();
    const query = { runs: ids, keys, axis, range, points: pointsFor(ids.length), band: ids.length <= bandedRuns };
    const asked = wanted.current;
    busy.current = true;
    fetchSeries(query, controller.signal)
      .then(
        (series) => {
          setAnswer({ axis, series });
          setFault(undefined);
        },
        (error: unknown) => {
          if (controller.signal.aborted) return;
          setFault(`The curves can't be read: ${error instanceof Error ? error.message : String(error)}`);
        },
      )
      .finally(() => {
        if (controller.signal.aborted) return;
        busy.current = false;
        // What has come meanwhile is asked for in a moment: the answer before is shown in any case.
        if (asked !== wanted.current) setTimeout(() => setAgain((count) => count + 1), pauseMs);
      });
    return () => controller.abort();
  }, [question, again]);

  useEffect(() => {
    if (!busy.current) setAgain((count) => count + 1);
  }, [versions]);
  return { series: answer?.axis === axis ? answer.series : undefined, fault };
}

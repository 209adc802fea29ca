import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { onThemeChange, themeColor } from '../../shared/components.tsx';
import type { DrawnLine } from './curve-data.ts';
import { short } from './format.ts';

/** A line with how it looks. */
export interface ChartLine {
  readonly label: string;
  /** What its colour does not say. */
  readonly note?: string | undefined;
  /** Name of a colour of theme.css. */
  readonly color: string;
  readonly dash?: readonly number[] | undefined;
  readonly data: DrawnLine;
}

export interface ChartProps {
  readonly title: string;
  readonly unit: string;
  readonly axisTitle: string;
  readonly x: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly isLog: boolean;
  readonly isSmooth: boolean;
  /** Single measurements: each is marked, with a bar for its range. */
  readonly isMeasured: boolean;
  readonly range: readonly [number, number] | null;
  readonly onZoom: (range: readonly [number, number] | null) => void;
  readonly height: number;
}

const alpha = (color: string, share: number): string =>
  `${color}${Math.round(share * 255)
    .toString(16)
    .padStart(2, '0')}`;

/** Values at the cursor are written beside the names of so many lines. */
const mostLabels = 4;

/** Curves over a common axis: drag to zoom, double-click or 0 to see all; with the keyboard + and − and the arrows. */
export function Chart(props: ChartProps): JSX.Element {
  const { title, unit, x, lines, isLog, isMeasured, range, onZoom, height } = props;
  const isSmooth = props.isSmooth && !isMeasured;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [cursor, setCursor] = useState<number | null>(null);
  const [colors, setColors] = useState(0);
  useEffect(() => onThemeChange(() => setColors((count) => count + 1)), []);

  const shape = JSON.stringify([
    lines.map(({ label, color, dash, data }) => [
      label,
      color,
      dash,
      !!data.max,
      isMeasured || hasMarks(x, data.smooth),
    ]),
    isLog,
    isSmooth,
    isMeasured,
    height,
    colors,
  ]);
  const data = useMemo(() => dataOf(x, lines, isSmooth), [x, lines, isSmooth]);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;

  useEffect(() => {
    const host = box.current!;
    const made = new uPlot(
      optionsOf({ ...props, isSmooth }, host.clientWidth, setCursor, (to) => zoom.current(to)),
      data,
      host,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height }));
    observer.observe(host);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.setData(data, false);
    const [from, to] = range ?? [x[0] ?? 0, x[x.length - 1] ?? 1];
    made.setScale('x', { min: from, max: to > from ? to : from + 1 });
  }, [data, range, shape]);

  const last = (line: ChartLine): number | null => line.data.smooth.findLast((value) => value !== null) ?? null;
  const shown = (line: ChartLine): number | null => {
    if (cursor === null) return last(line);
    const { smooth } = line.data;
    // Measurements are far between: the one before the cursor holds.
    return isMeasured
      ? (smooth.slice(0, cursor + 1).findLast((value) => value !== null) ?? null)
      : (smooth[cursor] ?? null);
  };
  const hasTwoKinds = lines.length > 2 && new Set(lines.map(({ note }) => note)).size === 2;
  const described = lines.map((line) => `${line.label} ${short(last(line))}`).join(', ');
  return (
    <figure class="chart" data-lines={lines.length} data-points={x.length}>
      <figcaption>
        <h3>{title}</h3>
        <span class="muted unit">{unit}</span>
        <span class={`readings ${hasTwoKinds ? 'two' : ''}`} aria-hidden="true">
          {lines.length <= mostLabels &&
            lines.map((line) => (
              <span key={line.label}>
                {lines.length > 1 && <i class={`swatch bg-${line.color}`} />}
                {line.note !== undefined && <span class="muted">{line.note}</span>}
                <b>{short(shown(line))}</b>
              </span>
            ))}
        </span>
      </figcaption>
      <div
        ref={box}
        class="plot"
        role="img"
        tabIndex={0}
        aria-label={`${title}${unit === '' ? '' : `, ${unit}`}. Last: ${described || 'no values yet'}. Plus and minus zoom, arrows move, 0 shows all.`}
        onKeyDown={(event) => {
          const next = zoomedByKey(event.key, range, x);
          if (next === undefined) return;
          event.preventDefault();
          onZoom(next);
        }}
      />
    </figure>
  );
}

/** What a key makes of the visible part; undefined for other keys. */
function zoomedByKey(
  key: string,
  range: readonly [number, number] | null,
  x: readonly number[],
): readonly [number, number] | null | undefined {
  const [from, to] = range ?? [x[0] ?? 0, x[x.length - 1] ?? 1];
  const [middle, half] = [(from + to) / 2, (to - from) / 2];
  if (key === '+' || key === '=') return [middle - half / 2, middle + half / 2];
  if (key === '0') return null;
  if (range === null) return undefined;
  if (key === '-') return [middle - 2 * half, middle + 2 * half];
  if (key === 'ArrowLeft') return [from - half / 2, to - half / 2];
  if (key === 'ArrowRight') return [from + half / 2, to + half / 2];
  return undefined;
}

/** Draws bars from the least to the largest values, which are a plot's columns `upper` and `upper + 1`. */
function drawBars(plot: uPlot, upper: number, color: string): void {
  const { ctx, data } = plot;
  const cap = 3 * uPlot.pxRatio;
  ctx.save();
  ctx.beginPath();
  data[0].forEach((place, i) => {
    const [most, least] = [data[upper][i], data[upper + 1][i]];
    if (typeof most !== 'number' || typeof least !== 'number' || most === least) return;
    const x = plot.valToPos(place, 'x', true);
    const { left, width } = plot.bbox;
    if (x < left - cap || x > left + width + cap) return;
    const [top, bottom] = [most, least].map((value) => plot.valToPos(value, 'y', true));
    ctx.moveTo(x, top);
    ctx.lineTo(x, bottom);
    for (const y of [top, bottom]) {
      ctx.moveTo(x - cap, y);
      ctx.lineTo(x + cap, y);
    }
  });
  ctx.strokeStyle = color;
  ctx.lineWidth = 1.25 * uPlot.pxRatio;
  ctx.stroke();
  ctx.restore();
}

/** Whether each value is marked: of two a line shows little, and some statistics come seldom. */
const hasMarks = (x: readonly number[], values: readonly (number | null)[]): boolean => {
  const known = values.filter((value) => value !== null).length;
  return x.length < 3 || (known > 0 && known <= 50 && 2 * known < x.length);
};

/** Columns: the axis; for each line its band if it has one, its values where they are smoothed, and the smooth ones. */
function dataOf(x: readonly number[], lines: readonly ChartLine[], isSmooth: boolean): uPlot.AlignedData {
  return [
    x as number[],
    ...lines.flatMap(({ data }) => [
      ...(data.max && data.min ? [data.max, data.min] : []),
      ...(isSmooth ? [data.values] : []),
      data.smooth,
    ]),
  ] as uPlot.AlignedData;
}

function optionsOf(
  { lines, isLog, isSmooth, isMeasured, height, axisTitle, x }: ChartProps,
  width: number,
  setCursor: (index: number | null) => void,
  onZoom: (range: readonly [number, number] | null) => void,
): uPlot.Options {
  const [muted, grid] = [themeColor('muted'), themeColor('grid')];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const bars: ((plot: uPlot) => void)[] = [];
  for (const { label, color: name, dash, data } of lines) {
    const color = themeColor(name);
    const common = { label, spanGaps: true, points: { show: false } } satisfies uPlot.Series;
    if (data.max && data.min) {
      const upper = series.length;
      if (isMeasured) bars.push((plot) => drawBars(plot, upper, color));
      else bands.push({ series: [upper, upper + 1], fill: alpha(color, 0.13) });
      series.push({ ...common, stroke: 'transparent', width: 0 }, { ...common, stroke: 'transparent', width: 0 });
    }
    if (isSmooth) series.push({ ...common, stroke: alpha(color, 0.28), width: 1 });
    series.push({
      ...common,
      stroke: color,
      width: 1.75,
      ...(dash && { dash: [...dash] }),
      points: { show: isMeasured || hasMarks(x, data.smooth), size: 6, fill: color },
    });
  }
  const axis = {
    stroke: muted,
    font: `11px ${themeColor('font')}`,
    ticks: { show: false },
    grid: { stroke: grid, width: 1 },
    border: { show: false },
  };
  return {
    width: Math.max(width, 50),
    height,
    padding: [8, 14, 0, 0],
    legend: { show: false },
    series,
    bands,
    scales: {
      x: { time: false },
      y: isLog
        ? { distr: 3, range: (_, min, max) => logRange(min, max) }
        : { range: (_, min, max) => paddedRange(min, max) },
    },
    axes: [
      {
        ...axis,
        size: 22,
        gap: 4,
        space: 64,
        label: axisTitle,
        labelFont: `11px ${themeColor('font')}`,
        labelSize: 16,
        labelGap: 0,
        grid: { show: false },
        values: (_, splits) => splits.map((value) => (value === 0 ? '0' : axisNumber(value))),
      },
      {
        ...axis,
        size: 50,
        gap: 6,
        space: isLog ? 22 : 34,
        values: (_, splits) => splits.map((value) => (value === null ? '' : axisNumber(value))),
        ...(isLog && {
          splits: (plot) => logSplits(plot.scales.y.min!, plot.scales.y.max!),
          filter: (_, splits) => splits,
        }),
      },
    ],
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      draw: bars,
      setCursor: [(plot) => setCursor(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select;
          if (selected > 4) onZoom([plot.posToVal(left, 'x'), plot.posToVal(left + selected, 'x')]);
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      ready: [(plot) => plot.over.addEventListener('dblclick', () => onZoom(null))],
    },
  };
}

/** Round numbers on a logarithmic axis: some multiples of powers of ten, or only these where the axis is long. */
function logSplits(min: number, max: number): number[] {
  const [first, last] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const decades = Math.log10(max / min);
  const every = Math.max(1, Math.ceil(decades / 6));
  const factors = decades < 0.9 ? [1, 1.5, 2, 3, 5, 7] : decades < 2.2 ? [1, 2, 5] : [1];
  const splits: number[] = [];
  for (let power = first; power <= last; power++) {
    if (factors.length === 1 && power % every !== 0) continue;
    for (const factor of factors) {
      const split = Number((factor * 10 ** power).toPrecision(3));
      if (split >= min && split <= max) splits.push(split);
    }
  }
  return splits;
}

/** Bounds of the values with a little room, on a logarithmic axis: half a decade at least. */
function logRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !(min > 0)) return [0.1, 1];
  const [low, high] = [Math.log10(min), Math.log10(max)];
  const room = Math.max(0.06 * (high - low), (0.5 - (high - low)) / 2);
  return [10 ** (low - room), 10 ** (high + room)];
}

/** Bounds of the values with a little room, and 0 where it is near. */
function paddedRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  if (min === max) return min === 0 ? [0, 1] : [min - Math.abs(min) * 0.5, max + Math.abs(max) * 0.5];
  const room = (max - min) * 0.06;
  return [min >= 0 && min < (max - min) * 0.5 ? 0 : min - room, max + room];
}

/** A number below an axis: `20k`, `0.05`, `1e-4`. */
function axisNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 1e-3) return value.toExponential(0);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return String(Number(value.toPrecision(4)));
}

import { areaY, axisX, axisY, dot, gridX, gridY, line, rectX, ruleY, text } from '@observablehq/plot';
import type { Markish } from '@observablehq/plot';
import { ShapeError, UsageError } from '../errors.ts';
import { figureSvg } from './svg.ts';
import type { FigurePart, LegendEntry } from './svg.ts';
import { formatTick, logTicks } from './ticks.ts';
import { textWidth } from './text-width.ts';
import { curveStyles, fontSizes, palette, rangeTints, spacing, strokeWidth } from './theme.ts';
import type { CurveStyle, Role } from './theme.ts';

export interface Series {
  name: string;
  /** Positions, such as kimg; equally many as values, in the order in which they are joined. */
  x: ArrayLike<number>;
  /** Values; the line is broken where a point is not finite or, on a logarithmic axis, not positive. */
  y: ArrayLike<number>;
  /** Half of the height of a band around the curve, such as a standard error. On a logarithmic axis it ends at the frame. */
  error?: ArrayLike<number>;
  /** Gives the curve the colour of this role; see `curveStyles` for the rest. */
  kind?: Role;
  /** Draws dots instead of a line, with error bars; or a thin grey line for a law to compare with. Default: a line. */
  shape?: 'line' | 'dots' | 'law';
}

/** A stretch of the horizontal axis with a background of its own and a name above. */
export interface ShadedRange {
  /** May be infinite: up to the end of the axis. */
  from: number;
  to: number;
  label: string;
}

/** Curves over one pair of axes. */
export interface LinePanel {
  series: readonly Series[];
  /** With the unit in brackets. */
  xLabel: string;
  yLabel: string;
  /** A heading above the frame. */
  title?: string;
  /** Logarithmic axes. */
  logX?: boolean;
  logY?: boolean;
  /** The vertical axis covers at least this. Default: what the values need. */
  domainY?: readonly [number, number];
  shaded?: readonly ShadedRange[];
}

export interface LineFigureOptions extends LinePanel {
  subtitle?: string;
  /** Small print below the figure. */
  caption?: string;
}

export interface PanelFigureOptions {
  panels: readonly LinePanel[];
  title?: string;
  subtitle?: string;
  caption?: string;
  /** Panels in a row. Default 2. */
  columns?: number;
}

/** What `figureData` reads back from the figure's file; null for a value that is not finite. */
export interface LineFigureData {
  readonly panels: readonly {
    readonly x: string;
    readonly y: string;
    readonly series: readonly {
      readonly name: string;
      readonly x: readonly (number | null)[];
      readonly y: readonly (number | null)[];
      readonly error?: readonly (number | null)[];
    }[];
    readonly ranges: readonly ShadedRange[];
  }[];
}

/**
 * Curves over a common axis, such as the loss over kimg from the lines of `stats.jsonl`. With more than one curve there is a
 * legend. Values that cannot be drawn are counted in the caption. The numbers are in the file, see `figureData`.
 *
 * @returns a standalone SVG
 * @throws UsageError without series or without a point that can be drawn
 * @throws ShapeError when a series has not as many x as y
 */
export function lineFigure({ title, subtitle, caption, ...panel }: LineFigureOptions): string {
  return drawPanels({ panels: [panel], columns: 1, ...optional({ title, subtitle, caption }) });
}

/** Several such panels in one figure; where all have the same curves they share a legend. Throws as above. */
export const panelFigure = (options: PanelFigureOptions): string => drawPanels(options);

function drawPanels({ panels, title, subtitle, caption, columns = 2 }: PanelFigureOptions): string {
  if (panels.length === 0) throw new UsageError('panelFigure: panels must have at least one panel, got none');
  const names = panels.map(({ series }) => JSON.stringify(series.map(({ name }) => name)));
  const isShared = names.every((each) => each === names[0]);
  const shared = stylesOf(panels);
  const remarks = caption === undefined ? [] : [caption];
  const parts = panels.map((panel) => {
    const styles = isShared ? shared : stylesOf([panel]);
    const part = drawPanel(panel, { styles, remarks, isAlone: columns === 1 });
    return isShared || styles.size < 2 ? part : { ...part, legend: legendOf(styles) };
  });
  const legend = isShared ? legendOf(shared) : [];
  return figureSvg({
    ...optional({ title, subtitle }),
    ...(legend.length > 1 ? { legend } : {}),
    ...(remarks.length > 0 ? { caption: remarks.join(' ') } : {}),
    parts,
    columns,
    data: { panels: panels.map(dataOf) } satisfies LineFigureData,
  });
}

const legendOf = (styles: ReadonlyMap<string, CurveStyle>): LegendEntry[] =>
  [...styles].map(([label, style]) => ({ label, ...style }));

/** The fields that have a value. */
const optional = <T extends Record<string, string | undefined>>(fields: T) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: string;
  };

const law: CurveStyle = { color: palette.muted, dash: '2 2.5' };

/** One style a name. */
function stylesOf(panels: readonly LinePanel[]): Map<string, CurveStyle> {
  const all = new Map(panels.flatMap(({ series }) => series.map((each) => [each.name, each] as const)));
  const curves = [...all.values()].filter(({ shape }) => shape !== 'law');
  const drawn = curveStyles(curves.map(({ kind }) => kind));
  return new Map([...all].map(([name, each]) => [name, each.shape === 'law' ? law : drawn[curves.indexOf(each)]]));
}

const numbersOf = (values: ArrayLike<number>): (number | null)[] =>
  Array.from(values, (value) => (Number.isFinite(value) ? value : null));

const dataOf = ({ series, xLabel, yLabel, shaded = [] }: LinePanel): LineFigureData['panels'][number] => ({
  x: xLabel,
  y: yLabel,
  series: series.map(({ name, x, y, error }) => ({
    name,
    x: numbersOf(x),
    y: numbersOf(y),
    ...(error && { error: numbersOf(error) }),
  })),
  ranges: [...shaded],
});

interface Curve {
  readonly name: string;
  readonly shape: NonNullable<Series['shape']>;
  readonly xs: Float64Array;
  readonly ys: Float64Array;
  /** Ends of the error band; NaN where there is none. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly hasBand: boolean;
  readonly style: CurveStyle;
}

function drawPanel(
  panel: LinePanel,
  { styles, remarks, isAlone }: { styles: ReadonlyMap<string, CurveStyle>; remarks: string[]; isAlone: boolean },
): FigurePart {
  const { series, xLabel, yLabel, title, logX = false, logY = false, domainY, shaded = [] } = panel;
  if (series.length === 0) throw new UsageError('lineFigure: series must have at least one series, got none');
  const curves = series.map((each) => readCurve(each, { logX, logY, style: styles.get(each.name)!, remarks }));
  const drawn = curves.flatMap(({ ys, low, high }) => [
    ...[...ys].filter(Number.isFinite),
    ...[...low, ...high].filter((value) => Number.isFinite(value) && !(logY && value <= 0)),
  ]);
  const positions = curves.flatMap(({ xs, ys }) => [...xs].filter((x, i) => Number.isFinite(x + ys[i])));
  if (positions.length === 0) throw new UsageError('lineFigure: no series has a value that can be drawn');
  const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
  const [low, high] = [least([...drawn, ...(domainY ?? [])]), most([...drawn, ...(domainY ?? [])])];
  const margin = domainY && low >= domainY[0] && high <= domainY[1] ? 1 : 1.15;
  const [bottom, top] = [low / margin, high * margin];
  const fromZero = !logY && low >= 0;
  const [left, right] = [least(positions), most(positions)];
  const [width, height] = isAlone ? [spacing.line, spacing.lineHeight] : [spacing.smallLine, spacing.smallLineHeight];
  const ticksY = logY ? logTicks(bottom, top) : isAlone ? 6 : 5;
  const ticksX = logX && right > left ? logTicks(left, right) : isAlone ? 8 : 6;
  const ranges = shaded
    .map((range, i) => ({ ...range, tint: rangeTints[i % rangeTints.length] }))
    .map((range) => ({ ...range, from: Math.max(range.from, left), to: Math.min(range.to, right) }))
    .filter(({ from, to }) => from < to);
  const alongX = (x: number): number =>
    logX ? Math.log(x / left) / Math.log(right / left) : (x - left) / (right - left);
  const frameWidth = width - marginLeft - marginRight;
  const namesFit = ranges.every(
    ({ from, to, label }) =>
      textWidth(label, fontSizes.caption - 1) < frameWidth * (alongX(to) - alongX(from)) || from === to,
  );
  const middle = ({ from, to }: ShadedRange): number => (logX ? Math.sqrt(from * to) : (from + to) / 2);
  const linear = domainY ? { domain: [low, high] } : { nice: true };
  return {
    ...(title === undefined ? {} : { title }),
    plot: {
      width,
      height,
      marginLeft,
      marginRight,
      marginTop: ranges.length > 0 ? 36 : 24,
      marginBottom: 40,
      ...(logX && right > left && { x: { type: 'log', domain: [left, right] } }),
      y: logY ? { type: 'log', domain: [bottom, top] } : { type: 'linear', ...linear },
      marks: [
        rectX(ranges, { x1: 'from', x2: 'to', fill: (range: { tint: string }) => range.tint }),
        gridY({ ticks: ticksY, stroke: palette.grid, strokeOpacity: 1 }),
        gridX({ ticks: ticksX, stroke: palette.grid, strokeOpacity: 1 }),
        axisX({ ...ticksOf(ticksX), label: xLabel, labelAnchor: 'center', labelOffset: 36 }),
        axisY({ ...ticksOf(ticksY), label: yLabel, labelOffset: marginLeft }),
        fromZero ? ruleY([0], { stroke: palette.axis }) : null,
        text(namesFit ? ranges : [], {
          x: middle,
          frameAnchor: 'top',
          lineAnchor: 'bottom',
          dy: -4,
          text: 'label',
          fill: palette.muted,
          fontSize: fontSizes.caption - 1,
        }),
        ...curves.flatMap((curve) => curveMarks(curve, logY ? bottom : -Infinity)),
      ],
    },
  };
}

/** A curve's values, NaN where they can't be drawn, which a remark counts. */
function readCurve(
  { name, x, y, error, shape = 'line' }: Series,
  { logX, logY, style, remarks }: { logX: boolean; logY: boolean; style: CurveStyle; remarks: string[] },
): Curve {
  if (x.length !== y.length)
    throw new ShapeError(`lineFigure: series "${name}" has ${x.length} values of x and ${y.length} of y`);
  if (error && error.length !== y.length)
    throw new ShapeError(`lineFigure: series "${name}" has ${error.length} errors of ${y.length} values`);
  const xs = Float64Array.from(x);
  const canBeDrawn = (value: number, i: number): boolean =>
    Number.isFinite(value + xs[i]) && !(logY && value <= 0) && !(logX && xs[i] <= 0);
  const ys = Float64Array.from(y, (value, i) => (canBeDrawn(value, i) ? value : NaN));
  const missing = ys.filter(Number.isNaN).length;
  if (missing > 0) {
    const why = logY || logX ? 'not finite or not positive' : 'not finite';
    remarks.push(`${name}: ${missing} of ${ys.length} values are ${why} and leave a gap.`);
  }
  const half = (i: number): number => (error && Number.isFinite(error[i]) ? error[i] : error ? 0 : NaN);
  return {
    name,
    shape,
    xs,
    ys,
    low: ys.map((value, i) => value - half(i)),
    high: ys.map((value, i) => value + half(i)),
    hasBand: error !== undefined,
    style,
  };
}

/** The marks of one curve, back to front; bands of a logarithmic axis end at its floor. */
function curveMarks({ xs, ys, low, high, hasBand, shape, style: { color, dash } }: Curve, floor: number): Markish[] {
  const lower = low.map((value) => Math.max(value, floor));
  const dots = (radius: number): Markish => dot(xs, { x: xs, y: ys, r: radius, fill: color });
  if (shape === 'dots') {
    const bars = [...xs].flatMap((x, i) => [
      { x, y: lower[i], z: i },
      { x, y: high[i], z: i },
    ]);
    return [hasBand ? line(bars, { x: 'x', y: 'y', z: 'z', stroke: color }) : null, dots(3)];
  }
  return [
    hasBand ? areaY(xs, { x: xs, y1: lower, y2: high, fill: color, fillOpacity: 0.18 }) : null,
    line(xs, {
      x: xs,
      y: ys,
      stroke: color,
      strokeWidth: shape === 'law' ? 1.25 : strokeWidth,
      strokeLinecap: 'round',
      ...(dash === undefined ? {} : { strokeDasharray: dash }),
    }),
    xs.length <= dotsUpTo && shape !== 'law' ? dots(2.5) : null,
  ];
}

const marginLeft = 56;
const marginRight = 16;
const axis = { tickSize: 0, labelArrow: 'none' } as const;
/** Ticks and their texts. Of ticks that are given Plot leaves some texts out on a logarithmic axis, unless told them. */
const ticksOf = (ticks: number | number[]) =>
  typeof ticks === 'number'
    ? ({ ...axis, ticks, tickFormat: formatTick } as const)
    : ({ ...axis, ticks, text: ticks.map(formatTick) } as const);
/** A short curve also shows its points, so that a single one is seen. */
const dotsUpTo = 16;

import { axisX, axisY, dot, gridX, gridY, line, ruleY } from '@observablehq/plot';
import { ShapeError, UsageError } from '../errors.ts';
import { figureSvg } from './svg.ts';
import { formatTick, logTicks } from './ticks.ts';
import { curveStyles, palette, spacing, strokeWidth, type Role } from './theme.ts';

export interface Series {
  name: string;
  /** Positions, such as kimg; equally many as values, in the order in which they are joined. */
  x: ArrayLike<number>;
  /** Values; the line is broken where a point is not finite or, on a logarithmic axis, a value is not positive. */
  y: ArrayLike<number>;
  /** Gives the curve the colour of this role; see `curveStyles` for the rest. */
  kind?: Role;
}

export interface LineFigureOptions {
  series: readonly Series[];
  xLabel: string;
  yLabel: string;
  title?: string;
  subtitle?: string;
  /** A logarithmic vertical axis. */
  logY?: boolean;
}

/**
 * Curves over a common axis, such as the loss over kimg from the lines of `stats.jsonl`. With more than one curve
 * there is a legend. Values that cannot be drawn are counted in the caption.
 *
 * @returns a standalone SVG
 * @throws UsageError without series or without a point that can be drawn
 * @throws ShapeError when a series has not as many x as y
 */
export function lineFigure({ series, xLabel, yLabel, title, subtitle, logY = false }: LineFigureOptions): string {
  if (series.length === 0) throw new UsageError('lineFigure: series must have at least one series, got none');
  const remarks: string[] = [];
  const styles = curveStyles(series.map(({ kind }) => kind));
  const curves = series.map(({ name, x, y }, index) => {
    if (x.length !== y.length) {
      throw new ShapeError(`lineFigure: series "${name}" has ${x.length} values of x and ${y.length} of y`);
    }
    const xs = Float64Array.from(x);
    const canBeDrawn = (value: number, i: number): boolean => Number.isFinite(value + xs[i]) && !(logY && value <= 0);
    const ys = Float64Array.from(y, (value, i) => (canBeDrawn(value, i) ? value : NaN));
    const missing = ys.filter(Number.isNaN).length;
    if (missing > 0) {
      const why = logY ? 'not finite or not positive' : 'not finite';
      remarks.push(`${name}: ${missing} of ${ys.length} values are ${why} and leave a gap.`);
    }
    return { name, xs, ys, style: styles[index] };
  });
  const drawn = curves.flatMap(({ ys }) => [...ys.filter(Number.isFinite)]);
  if (drawn.length === 0) throw new UsageError('lineFigure: no series has a value that can be drawn');
  const low = drawn.reduce((a, b) => Math.min(a, b));
  const high = drawn.reduce((a, b) => Math.max(a, b));
  const fromZero = !logY && low >= 0;
  const ticksY = logY ? logTicks(low / 1.15, high * 1.15) : 6;

  return figureSvg({
    ...(title === undefined ? {} : { title }),
    ...(subtitle === undefined ? {} : { subtitle }),
    ...(curves.length > 1 ? { legend: curves.map(({ name, style }) => ({ label: name, ...style })) } : {}),
    ...(remarks.length > 0 ? { caption: remarks.join(' ') } : {}),
    parts: [
      {
        plot: {
          width: spacing.line,
          height: spacing.lineHeight,
          marginLeft,
          marginRight,
          marginTop: 24,
          marginBottom: 40,
          y: logY ? { type: 'log', domain: [low / 1.15, high * 1.15] } : { type: 'linear', nice: true },
          marks: [
            gridY({ ticks: ticksY, stroke: palette.grid, strokeOpacity: 1 }),
            gridX({ ticks: 8, stroke: palette.grid, strokeOpacity: 1 }),
            axisX({ ticks: 8, ...axis, label: xLabel, labelAnchor: 'center', labelOffset: 36 }),
            axisY({ ticks: ticksY, ...axis, label: yLabel, labelOffset: marginLeft }),
            fromZero ? ruleY([0], { stroke: palette.axis }) : null,
            ...curves.map(({ xs, ys, style: { color, dash } }) =>
              line(xs, {
                x: xs,
                y: ys,
                stroke: color,
                strokeWidth,
                strokeLinecap: 'round',
                ...(dash === undefined ? {} : { strokeDasharray: dash }),
              }),
            ),
            ...curves
              .filter(({ xs }) => xs.length <= dotsUpTo)
              .map(({ xs, ys, style: { color } }) => dot(xs, { x: xs, y: ys, r: 2.5, fill: color })),
          ],
        },
      },
    ],
  });
}

const marginLeft = 56;
const marginRight = 16;
const axis = { tickSize: 0, labelArrow: 'none', tickFormat: formatTick } as const;
/** A short curve also shows its points, so that a single one is seen. */
const dotsUpTo = 12;

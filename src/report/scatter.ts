import { frame, gridX, gridY, line } from '@observablehq/plot';
import { ShapeError, UsageError } from '../errors.ts';
import { figureSvg, type FigurePart } from './svg.ts';
import { thinPoints, type ThinnedPoints } from './thin-points.ts';
import { grouped } from './ticks.ts';
import { palette, roleColors, spacing, type Role } from './theme.ts';

export interface ScatterPanel {
  title: string;
  /** Points [N, 2]. */
  points: Float32Array | Float64Array;
  kind: Role;
}

export interface ScatterOptions {
  panels: readonly ScatterPanel[];
  title?: string;
  subtitle?: string;
  /** The range of both axes of every panel, [low, high]. Default: the square around the data panels, see below. */
  domain?: readonly [number, number];
  /** Panels in a row, at least 1. Default: up to four. */
  columns?: number;
}

/** How dots are drawn, in pixels: large and dense for few points, fine and faint for many. */
interface DotStyle {
  radius: number;
  opacity: number;
  /** Side of a cell for thinning, less than the dot's diameter. */
  cell: number;
  /** So many dots over each other are opaque to the eye (1 - (1 - opacity)^perCell > 94 %). */
  perCell: number;
}
const dotStyle = (count: number): DotStyle =>
  count <= 5000
    ? { radius: 1.6, opacity: 0.5, cell: 2, perCell: 16 }
    : { radius: 1, opacity: 0.3, cell: 1.5, perCell: 8 };

/**
 * Point clouds side by side, for comparing samples with data: equal scales on both axes and the same domain in every
 * panel. The default domain is the square around the panels of kind 'data' (around all panels where there is none)
 * with a margin of 8 %, so that a stray sample does not shrink the picture; the caption counts points outside of it,
 * points that are not finite, and points left out because others cover them.
 *
 * @returns a standalone SVG
 * @throws ShapeError when a panel's points are not pairs
 * @throws UsageError without panels, without a finite point, for an empty domain or less than one column
 */
export function scatterFigure({ panels, title, subtitle, domain, columns }: ScatterOptions): string {
  if (panels.length === 0) throw new UsageError('scatterFigure: panels must have at least one panel, got none');
  for (const { title: name, points } of panels) {
    if (points.length % 2 !== 0) {
      throw new ShapeError(
        `scatterFigure: points of panel "${name}" must be pairs [N, 2], got ${points.length} values`,
      );
    }
  }
  const domains = domain === undefined ? squareAround(panels) : { x: domain, y: domain };
  if (!(domains.x[0] < domains.x[1])) {
    throw new UsageError(`scatterFigure: domain must be [low, high] with low < high, got [${domains.x.join(', ')}]`);
  }
  const side = spacing.panel;
  const perRow = columns ?? Math.min(panels.length, 4);
  if (!Number.isInteger(perRow) || perRow < 1) {
    throw new UsageError(`scatterFigure: columns must be a whole number of at least 1, got ${perRow}`);
  }
  const thinned: ThinnedPoints[] = [];
  const parts = panels.map((panel, i): FigurePart => {
    const marginLeft = i % perRow === 0 ? 34 : 4;
    const marginRight = 4;
    const count = panel.points.length / 2;
    const style = dotStyle(count);
    const cells = Math.floor(side / style.cell);
    const drawn = thinPoints(panel.points, { domain: domains, cells, perCell: style.perCell });
    thinned.push(drawn);
    return {
      title: panel.title,
      note: `n = ${grouped(count)}`,
      plot: {
        width: marginLeft + side + marginRight,
        height: side + 28,
        marginLeft,
        marginRight,
        marginTop: 2,
        marginBottom: 26,
        x: { domain: domains.x, ticks: 5, label: null, tickSize: 0 },
        y: { domain: domains.y, ticks: 5, label: null, tickSize: 0, ...(marginLeft < 20 ? { axis: null } : {}) },
        marks: [
          gridX({ ticks: 5, stroke: palette.grid, strokeOpacity: 1 }),
          gridY({ ticks: 5, stroke: palette.grid, strokeOpacity: 1 }),
          dots(drawn, roleColors[panel.kind], style),
          frame({ stroke: palette.axis }),
        ],
      },
    };
  });
  const caption = captionOf(panels, thinned);
  return figureSvg({
    ...(title === undefined ? {} : { title }),
    ...(subtitle === undefined ? {} : { subtitle }),
    parts,
    columns: perRow,
    ...(caption === '' ? {} : { caption }),
  });
}

/**
 * Dots as the round ends of lines without length, one path a layer, which takes a third of the bytes of circles:
 * dots of one layer hardly overlap, and those of several add up in opacity as circles would.
 */
function dots({ x, y, layer }: ThinnedPoints, color: string, { radius, opacity }: DotStyle) {
  // A NaN after each point ends its line.
  const separated = (values: Float64Array): Float64Array =>
    Float64Array.from({ length: 2 * values.length }, (_, i) => (i % 2 === 0 ? values[i / 2] : NaN));
  return line(
    { length: 2 * x.length },
    {
      x: separated(x),
      y: separated(y),
      z: Array.from({ length: 2 * x.length }, (_, i) => layer[i >> 1]),
      stroke: color,
      strokeOpacity: opacity,
      strokeWidth: 2 * radius,
      strokeLinecap: 'round',
    },
  );
}

/** Tells of all points that are not drawn, and why. */
function captionOf(panels: readonly ScatterPanel[], thinned: readonly ThinnedPoints[]): string {
  const hidden: string[] = [];
  const outside: string[] = [];
  const nonFinite: string[] = [];
  panels.forEach(({ title, points }, i) => {
    const count = points.length / 2;
    const drawn = thinned[i];
    if (count > drawn.x.length + drawn.outside + drawn.nonFinite) {
      hidden.push(`${grouped(drawn.x.length)} of ${grouped(count)} (${title})`);
    }
    if (drawn.outside > 0) outside.push(`${grouped(drawn.outside)} (${title})`);
    if (drawn.nonFinite > 0) nonFinite.push(`${grouped(drawn.nonFinite)} (${title})`);
  });
  const remarks: string[] = [];
  if (hidden.length > 0) remarks.push(`Points that others cover are left out; drawn are ${hidden.join(', ')}.`);
  if (outside.length > 0) remarks.push(`Outside the frame: ${outside.join(', ')}.`);
  if (nonFinite.length > 0) remarks.push(`Not finite: ${nonFinite.join(', ')}.`);
  return remarks.join(' ');
}

type Interval = readonly [number, number];

/** The square, with a margin of 8 %, around the finite points of the data panels, or of all panels without those. */
function squareAround(panels: readonly ScatterPanel[]): { x: Interval; y: Interval } {
  const data = panels.filter(({ kind }) => kind === 'data');
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const { points } of data.length > 0 ? data : panels) {
    for (let i = 0; i < points.length; i++) {
      const value = points[i];
      if (!Number.isFinite(value)) continue;
      low[i % 2] = Math.min(low[i % 2], value);
      high[i % 2] = Math.max(high[i % 2], value);
    }
  }
  if (!(low[0] <= high[0]) || !(low[1] <= high[1])) {
    throw new UsageError('scatterFigure: there is no finite point to draw; give a domain to draw the empty frame');
  }
  const half = 0.58 * Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const around = (axis: 0 | 1): Interval => {
    const middle = (low[axis] + high[axis]) / 2;
    return [middle - half, middle + half];
  };
  return { x: around(0), y: around(1) };
}

import { lineFigure } from '../../report/loss-curve.ts';
import type { Role } from '../../report/theme.ts';
import type { Table } from '../../report/table.ts';

/** One curve with a band around it. */
export interface ClaimSeries {
  readonly name: string;
  readonly kind?: Role;
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** Half of the band's width: one standard error. */
  readonly error?: readonly number[];
}

/** Curves over a common axis as plain data: what is written beside the picture of it. */
export interface ClaimFigure {
  readonly title: string;
  readonly subtitle?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  readonly series: readonly ClaimSeries[];
}

/**
 * Curves out of the rows of a table, so that figure and table can't differ: one for each value of `by`, in the order in
 * which they come.
 */
export function seriesOf(
  { rows }: Table,
  { x, y, error, by, kind }: { x: string; y: string; error?: string; by: string; kind?: (value: string) => Role },
): ClaimSeries[] {
  const names = [...new Set(rows.map((row) => String(row[by])))];
  return names.map((name) => {
    const own = rows.filter((row) => String(row[by]) === name);
    const column = (key: string): number[] => own.map((row) => Number(row[key]));
    return {
      name,
      ...(kind && { kind: kind(name) }),
      x: column(x),
      y: column(y),
      ...(error !== undefined && { error: column(error) }),
    };
  });
}

/** The figure as a standalone SVG. */
export const claimSvg = ({ series, ...figure }: ClaimFigure): string => lineFigure({ ...figure, series });

import type { Series } from '../../report/line-figure.ts';
import type { Role } from '../../report/theme.ts';
import type { Table } from '../../report/table.ts';

/**
 * Curves out of the rows of a table, so that figure and table can't differ: one for each value of `by`, in the order in
 * which they come. Bands are the column `error` high on either side.
 */
export function seriesOf(
  { rows }: Table,
  { x, y, error, by, kind }: { x: string; y: string; error?: string; by: string; kind?: (value: string) => Role },
): Series[] {
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

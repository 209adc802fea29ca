import { formatTick } from './ticks.ts';

/** One quantity of a table. */
export interface Column {
  /** Its name in the CSV file and in rows. */
  readonly key: string;
  /** What a reader sees, with the unit in brackets: `training (kimg)`. */
  readonly heading: string;
}

export type Cell = string | number;

/** Rows of quantities by the keys of their columns. */
export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly Readonly<Record<string, Cell>>[];
}

/** A table as CSV: keys in the first line, numbers in full, text in quotes where it has to be. */
export function tableCsv({ columns, rows }: Table): string {
  const quoted = (cell: Cell): string =>
    typeof cell === 'string' && /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : String(cell);
  const lines = [columns.map(({ key }) => key), ...rows.map((row) => columns.map(({ key }) => quoted(row[key])))];
  return `${lines.map((line) => line.join(',')).join('\n')}\n`;
}

/** A table as Markdown: headings, numbers with four digits that count. */
export function tableMarkdown({ columns, rows }: Table): string {
  const lines = [
    columns.map(({ heading }) => heading),
    columns.map(({ key }) => (rows.every((row) => typeof row[key] === 'number') ? '---:' : '---')),
    ...rows.map((row) => columns.map(({ key }) => shown(row[key]))),
  ];
  return `${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}\n`;
}

function shown(cell: Cell): string {
  if (typeof cell === 'string') return cell.replaceAll('|', String.raw`\|`);
  if (!Number.isFinite(cell)) return '-';
  return formatTick(Number.isInteger(cell) ? cell : Number(cell.toPrecision(4)));
}

import { FormatError } from '../errors.ts';
import type { NumberArray } from './npy.ts';

/** Numbers [rows, columns], with the names of the columns where there are some. */
export type CsvTable = NumberArray & { readonly names?: readonly string[] };

/**
 * Reads a table of numbers: a row a line, values with commas, semicolons, tabs or blanks between. The first line may hold
 * names; empty lines and lines that begin with # are passed over.
 *
 * @param name  what it is, for messages
 * @returns     [rows, columns], and the names where there are some
 * @throws FormatError that names the line with a value that is no finite number, or another number of columns
 */
export function readCsv(bytes: Uint8Array, name: string): CsvTable {
  const text = new TextDecoder().decode(bytes).replace(/^\ufeff/, '');
  let names: readonly string[] | undefined;
  let columns: number | undefined;
  let data = new Float32Array(1024);
  let filled = 0;
  let line = 0;
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const row = text.slice(start, end).trim();
    start = end + 1;
    line += 1;
    if (row === '' || row.startsWith('#')) continue;
    const cells = /[,;]/.test(row) ? row.split(/[,;]/).map((cell) => cell.trim()) : row.split(/\s+/);
    const values = cells.map((cell) => (cell === '' ? NaN : Number(cell)));
    if (columns === undefined && names === undefined && values.every((value) => Number.isNaN(value))) {
      names = cells;
      continue;
    }
    columns ??= names?.length ?? cells.length;
    if (cells.length !== columns)
      throw new FormatError(`${name}, line ${line}: ${cells.length} values, and ${columns} in the lines before`);
    const wrong = values.findIndex((value) => !Number.isFinite(Math.fround(value)));
    if (wrong >= 0)
      throw new FormatError(`${name}, line ${line}: "${cells[wrong].slice(0, 40)}" is not a finite number of 32 bits`);
    if (filled + columns > data.length) {
      const larger = new Float32Array(2 * (filled + columns));
      larger.set(data);
      data = larger;
    }
    data.set(values, filled);
    filled += columns;
  }
  if (columns === undefined) throw new FormatError(`${name} has no line of numbers`);
  return {
    shape: [filled / columns, columns],
    data: data.slice(0, filled),
    dtype: 'csv',
    ...(names === undefined ? {} : { names }),
  };
}

import { FormatError } from '../errors.ts';

/** Taps that a filter may have; the networks of the literature have 2 and 4. */
export const longestFilter = 64;

/**
 * What keeps a row from being the filter of a layer that changes the resolution: the layer weighs pixels with the outer
 * product of the row with itself over the square of its sum.
 *
 * @returns  nothing for a filter, and otherwise what would have to hold
 */
export function filterFault(row: readonly number[]): string | undefined {
  if (row.length < 1 || row.length > longestFilter) return `have 1 to ${longestFilter} numbers, got ${row.length}`;
  const total = row.reduce((sum, value) => sum + value, 0);
  const largest = Math.max(...row.map(Math.abs));
  // As the layer divides: the squares must be numbers as well, and the quotient one in float32.
  if (total ** 2 > 0 && largest ** 2 < Infinity && Number.isFinite(Math.fround(largest ** 2 / total ** 2)))
    return undefined;
  return `have a sum that it can be divided by, got the sum ${total} of [${row.slice(0, 8).join(', ')}${row.length > 8 ? ', ...' : ''}]`;
}

/**
 * @param what  the filter's name in its file
 * @throws FormatError for a row that is no filter
 */
export function requireFilter(what: string, row: readonly number[]): readonly number[] {
  const fault = filterFault(row);
  if (fault !== undefined) throw new FormatError(`${what} must ${fault}`);
  return row;
}

import { z } from 'zod';
import { compare } from './check.ts';
import type { Check, Values } from './check.ts';
import type { ParityFile } from './folder.ts';
import { allowed } from './tolerance.ts';
import type { Origin } from './tolerance.ts';

/** The reference's own difference between float32 and float64, as the manifests hold it. */
export const measuredSchema = z.looseObject({ max_abs: z.number() });

/** Differences by the name of the result they belong to; null where there is none. */
export const measuredTable = z.record(z.string(), z.unknown());

/** D of one result in a table of measured differences; undefined where the table does not say. */
export function measuredIn(table: Readonly<Record<string, unknown>> | undefined, name: string): number | undefined {
  const parsed = measuredSchema.safeParse(table?.[name]);
  return parsed.success ? parsed.data.max_abs : undefined;
}

/**
 * Compares a result with the tensor of a name and with its float64 twin `<name>_f64`, whichever the file has.
 *
 * @param measured  D; left out: 0. It is never taken from the two tensors themselves: damage to one would excuse itself.
 * @param rule      what is allowed, given D, the largest expected value and where that comes from
 * @throws BadData when the file has neither
 */
export function compareTensor(
  file: ParityFile,
  name: string,
  actual: Values,
  measured = 0,
  rule: (measured: number, largest: number, origin: Origin) => number = allowed,
): Check[] {
  const twin = file.find(`${name}_f64`);
  const original = twin ? file.find(name) : file.get(name);
  const against = (what: string, expected: Values, origin: Origin): Check =>
    compare(what, actual, expected, (largest) => rule(measured, largest, origin));
  return [
    ...(twin ? [against(`${name}_f64`, twin.data, 'float64')] : []),
    ...(original ? [against(name, original.data, 'float32')] : []),
  ];
}

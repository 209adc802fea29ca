import { z } from 'zod';
import type { Features } from '../../src/metrics/index.ts';
import { populationStandardDeviation, standardDeviation } from '../../src/numerics/statistics.ts';
import { BadData, compare, Unsupported } from './check.ts';
import type { Check } from './check.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';

/** A number; those that JSON has no literal for are strings. */
export const scalar = z.union([z.number(), z.enum(['Infinity', '-Infinity', 'NaN']).transform(Number)]);

/** What may be off, relatively and absolutely. */
export const tolerances = z.looseObject({ rtol: z.number().default(0), atol: z.number().default(0) });

/** Whether the results that an entry expects have a name that the condition holds for. */
export function expects(entry: Entry, condition: (name: string) => boolean): boolean {
  const expected = field(entry, 'expected');
  return typeof expected === 'object' && expected !== null && Object.keys(expected).some(condition);
}

/** Rows of features in either precision. */
export function rowsOf(file: ParityFile, name: string): { count: number; dimension: number; data: Features } {
  const { shape, data } = file.get(name);
  if (!(data instanceof Float32Array || data instanceof Float64Array) || shape.length !== 2)
    throw new BadData(`tensor "${name}" in ${file.name} is not a matrix of F32 or F64`);
  return { count: shape[0], dimension: shape[1], data };
}

/** Standard deviations with either divisor, of which one value has only that of the population. */
export function spreads(
  { std_population, std_sample }: { std_population?: number | undefined; std_sample?: number | undefined },
  values: Float64Array,
  allowed: number,
): Check[] {
  return [
    ...(std_population === undefined
      ? []
      : [compare('std_population', [populationStandardDeviation(values)], [std_population], allowed)]),
    ...(std_sample === undefined || values.length < 2
      ? []
      : [compare('std_sample', [standardDeviation(values)], [std_sample], allowed)]),
  ];
}

/** @throws Unsupported for an expected result that no check looks at */
export function requireKnown(file: ParityFile, names: readonly string[], known: RegExp): void {
  const other = names.find((name) => !known.test(name));
  if (other !== undefined) throw new Unsupported(`${file.name} expects "${other}", which is not checked`);
}

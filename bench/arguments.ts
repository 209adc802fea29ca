import { parseArgs } from 'node:util';
import { UsageError } from '../src/errors.ts';

/** Options of a benchmark: numbers, lists of numbers and words by name, with defaults. */
export type Defaults = Readonly<Record<string, number | string | readonly number[]>>;

/** Reads `--name value` options. Their defaults say what type each has. */
export function readArguments<D extends Defaults>(
  argv: readonly string[],
  defaults: D,
): { readonly [K in keyof D]: D[K] extends string ? string : D[K] extends number ? number : readonly number[] } & {
  readonly json: boolean;
} {
  const options = Object.fromEntries([
    ...Object.keys(defaults).map((name) => [name, { type: 'string' as const }]),
    ['json', { type: 'boolean' as const }],
  ]);
  const { values } = parse(argv, options);
  const read = Object.entries(defaults).map(([name, fallback]) => {
    const given = values[name];
    if (typeof given !== 'string') return [name, fallback];
    if (typeof fallback === 'string') return [name, given];
    const list = given.split(',').map(Number);
    const isNumber = typeof fallback === 'number';
    if (list.some((value) => !Number.isFinite(value)) || (isNumber && list.length !== 1)) {
      throw new UsageError(
        `--${name} must be ${isNumber ? 'a number' : 'numbers separated by commas'}, got "${given}".`,
      );
    }
    return [name, isNumber ? list[0] : list];
  });
  return { ...Object.fromEntries(read), json: values.json === true };
}

function parse(
  argv: readonly string[],
  options: Record<string, { type: 'string' | 'boolean' }>,
): { values: Readonly<Record<string, string | boolean | undefined>> } {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

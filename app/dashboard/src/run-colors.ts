import type { RunSummary } from './server.ts';

/** Colours for runs, by name of theme.css: the method's own first. */
const order = ['stf', 'dsm', 'samples', 'extra-1', 'extra-3', 'extra-4', 'extra-2', 'data'] as const;

/**
 * A colour for each run: the first run of a method has the method's colour, the others what is left, over and over.
 *
 * @returns names of colours of theme.css
 */
export function runColors(runs: readonly Pick<RunSummary, 'method'>[]): string[] {
  const used = new Set<string>();
  const own = runs.map(({ method }): string | undefined => {
    if (method === null || used.has(method)) return undefined;
    used.add(method);
    return method;
  });
  const free = order.filter((color) => !used.has(color));
  let turn = 0;
  const rest = free.length > 0 ? free : order;
  return own.map((color) => color ?? rest[turn++ % rest.length]);
}

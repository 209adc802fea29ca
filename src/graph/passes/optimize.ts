import type { Optimization } from '../optimizations.ts';
import type { Tensor } from '../tensor.ts';
import { commonSubexpressions } from './common-subexpressions.ts';
import { foldConstants } from './constant-folding.ts';

/** The passes by name, in the order in which they run. Each maps a graph to one with the same results. */
export const passes = { foldConstants, commonSubexpressions } satisfies Partial<Record<Optimization, unknown>>;

/** Runs the passes over a graph; `without` switches some of them off. */
export const optimize = (
  outputs: readonly Tensor[],
  { without = new Set() }: { without?: ReadonlySet<Optimization> | undefined } = {},
): Tensor[] =>
  Object.entries(passes)
    .filter(([name]) => !without.has(name as Optimization))
    .reduce<Tensor[]>((graph, [, pass]) => pass(graph), [...outputs]);

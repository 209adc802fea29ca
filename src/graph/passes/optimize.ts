import type { Tensor } from '../tensor.ts';
import { commonSubexpressions } from './common-subexpressions.ts';
import { foldConstants } from './constant-folding.ts';

/** The passes by name, in the order in which they run. Each maps a graph to one with the same results. */
export const passes = { foldConstants, commonSubexpressions } as const;

export type PassName = keyof typeof passes;

/** Runs the passes over a graph; `without` switches some of them off. */
export const optimize = (
  outputs: readonly Tensor[],
  { without = [] }: { without?: readonly PassName[] } = {},
): Tensor[] =>
  Object.entries(passes)
    .filter(([name]) => !without.includes(name as PassName))
    .reduce<Tensor[]>((graph, [, pass]) => pass(graph), [...outputs]);

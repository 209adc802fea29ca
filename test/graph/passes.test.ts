import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  broadcastTo,
  constant,
  div,
  evaluate,
  exp,
  input,
  mul,
  printGraph,
  reciprocal,
  sub,
  sum,
  transpose,
} from '../../src/graph/index.ts';
import { commonSubexpressions } from '../../src/graph/passes/common-subexpressions.ts';
import { foldConstants } from '../../src/graph/passes/constant-folding.ts';
import { optimize } from '../../src/graph/passes/optimize.ts';
import { numbersArbitrary, randomGraph, valuesFor } from './random-graph.ts';

describe('commonSubexpressions', () => {
  test('merges what is computed twice, and what hangs on it', () => {
    const x = input('x', [2]);
    const graph = [add(mul(exp(x), 2), mul(exp(x), 2))];
    expect(printGraph(graph)).toBe(
      [
        '%0 = input "x" float32[2]',
        '%1 = exp(%0) float32[2]',
        '%2 = constant 2 float32[]',
        '%3 = mul(%1, %2) float32[2]',
        '%4 = exp(%0) float32[2]',
        '%5 = constant 2 float32[]',
        '%6 = mul(%4, %5) float32[2]',
        '%7 = add(%3, %6) float32[2]',
        'return %7',
      ].join('\n'),
    );
    expect(printGraph(commonSubexpressions(graph))).toBe(
      [
        '%0 = input "x" float32[2]',
        '%1 = exp(%0) float32[2]',
        '%2 = constant 2 float32[]',
        '%3 = mul(%1, %2) float32[2]',
        '%4 = add(%3, %3) float32[2]',
        'return %4',
      ].join('\n'),
    );
  });

  test('keeps apart what differs: inputs, attributes, shapes, element types, 0 and -0', () => {
    const x = input('x', [2, 2]);
    const kept = (outputs: Parameters<typeof commonSubexpressions>[0]): number =>
      new Set(commonSubexpressions(outputs)).size;
    expect(kept([input('a', [2]), input('a', [2])])).toBe(2);
    expect(kept([sum(x, 0), sum(x, 1)])).toBe(2);
    expect(kept([constant(1, [2]), constant(1, [1, 2]), constant(1, [2], 'float64')])).toBe(3);
    expect(kept([constant([0]), constant([-0])])).toBe(2);
    expect(kept([constant(0.1), constant(0.1)])).toBe(1);
  });
});

describe('foldConstants', () => {
  test('computes what hangs on constants alone', () => {
    const graph = [add(input('x', [2]), mul(exp(constant([0, 0])), 3))];
    expect(printGraph(foldConstants(graph))).toBe(
      ['%0 = input "x" float32[2]', '%1 = constant 3 3 float32[2]', '%2 = add(%0, %1) float32[2]', 'return %2'].join(
        '\n',
      ),
    );
  });

  test('drops additions of 0 and multiplications by 1', () => {
    const x = input('x', [2, 3]);
    const graph = [div(sub(mul(1, add(x, 0)), constant(0, [3])), constant(1, [2, 3]))];
    expect(printGraph(foldConstants(graph))).toBe('%0 = input "x" float32[2, 3]\nreturn %0');
  });

  test('keeps them where they change the shape or are no neutral element', () => {
    const x = input('x', [3]);
    for (const graph of [
      add(x, constant(0, [2, 3])),
      mul(x, constant(1, [1, 3])),
      sub(0, x),
      div(1, x),
      add(x, constant([0, 1, 0])),
    ])
      expect(foldConstants([graph])[0].shape, printGraph([graph])).toEqual(graph.shape);
    // 0 - x and 1 / x are not x.
    expect(foldConstants([sub(0, x)])[0].primitive.name).toBe('sub');
    expect(foldConstants([div(1, x)])[0].primitive.name).toBe('div');
  });

  test('a broadcast to no elements at all keeps its shape', () => {
    const graph = add(input('x', [0, 1]), constant(0, [1, 3]));
    expect(foldConstants([graph])[0].shape).toEqual([0, 3]);
  });

  test('rounds to the element type: 1/3 in float32 is not 1/3 in float64', () => {
    const [single, double] = foldConstants([reciprocal(constant([3])), reciprocal(constant([3], [1], 'float64'))]);
    expect(evaluate([single])[0].data[0]).toBe(Math.fround(1 / 3));
    expect(evaluate([double])[0].data[0]).toBe(1 / 3);
  });

  test('leaves large results to the engine', () => {
    const large = broadcastTo(constant([1]), [65_537]);
    expect(foldConstants([large])[0]).toBe(large);
  });
});

describe('optimize', () => {
  test('may leave a pass out', () => {
    const x = input('x', [2]);
    const graph = [add(add(x, 0), add(x, 0))];
    const nodes = (without: ('foldConstants' | 'commonSubexpressions')[]): number =>
      printGraph(optimize(graph, { without: new Set(without) })).split('\n').length;
    expect(nodes([])).toBe(3); // x, x + x, return
    expect(nodes(['foldConstants'])).toBe(5); // x, 0, x + 0, sum, return
    expect(nodes(['foldConstants', 'commonSubexpressions'])).toBe(7);
  });

  test('does not touch the graph it is given', () => {
    const x = input('x', [2, 3]);
    const graph = [transpose(add(x, 0), [1, 0])];
    const before = printGraph(graph);
    optimize(graph);
    expect(printGraph(graph)).toBe(before);
  });

  test('leaves the values of random graphs as they are', () => {
    fc.assert(
      fc.property(randomGraph('float64'), numbersArbitrary, (graph, numbers) => {
        const feeds = valuesFor(graph, numbers);
        const expected = evaluate(graph.outputs, feeds);
        const actual = evaluate(optimize(graph.outputs), feeds);
        actual.forEach((each, i) => {
          expect(each.shape).toEqual(expected[i].shape);
          // The passes do the very same float64 operations, so even rounding is the same; only -0 may become 0.
          expect(each.data.map((value) => value + 0)).toEqual(expected[i].data.map((value) => value + 0));
        });
      }),
      { numRuns: 200 },
    );
  });
});

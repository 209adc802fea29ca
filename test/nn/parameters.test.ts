import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { add, evaluate, gradients, input, mul, square, sum } from '../../src/graph/index.ts';
import { flatten, fromFlat, initialize, parameterTable, scope, viewsOf } from '../../src/nn/index.ts';
import type { Initialization, ParameterSource } from '../../src/nn/index.ts';

const zero: Initialization = { kind: 'constant', value: 0 };
const two: Initialization = { kind: 'constant', value: 2 };

function build(source: ParameterSource) {
  const layer = scope(scope(source, 'model'), 'layer0');
  return {
    weight: layer.get('weight', [2, 3], zero),
    frequencies: layer.buffer('freqs', [2], two),
    bias: source.get('bias', [], zero),
  };
}

const table = parameterTable(build);

test('the table lists parameters in the order of asking, one after the other', () => {
  expect(table.specs).toEqual([
    { name: 'model.layer0.weight', shape: [2, 3], initialization: zero, trained: true },
    { name: 'model.layer0.freqs', shape: [2], initialization: two, trained: false },
    { name: 'bias', shape: [], initialization: zero, trained: true },
  ]);
  expect([...table.offsets]).toEqual([
    ['model.layer0.weight', 0],
    ['model.layer0.freqs', 6],
    ['bias', 8],
  ]);
  expect([table.size, table.trained]).toEqual([9, 7]);
});

test('a name that is asked for twice is refused', () => {
  const twice = (source: ParameterSource): void => {
    source.get('a', [1], zero);
    source.buffer('a', [1], zero);
  };
  expect(() => parameterTable(twice)).toThrow(UsageError);
  expect(() => parameterTable(twice)).toThrow('parameter "a" is asked for twice');
});

describe('fromFlat', () => {
  const flat = input('flat', [table.size], 'float64');
  const feeds = new Map([[flat, Float64Array.from({ length: 9 }, (_, i) => i)]]);

  test('gives out the pieces by name, in their shapes', () => {
    const { weight, frequencies, bias } = build(fromFlat(table, flat).source);
    const values = evaluate([weight, frequencies, bias], feeds);
    expect(values.map(({ shape, data }) => [shape, [...data]])).toEqual([
      [
        [2, 3],
        [0, 1, 2, 3, 4, 5],
      ],
      [[2], [6, 7]],
      [[], [8]],
    ]);
    expect(() => fromFlat(table, flat).source.get('model', [1], zero)).toThrow('there is no parameter "model"');
  });

  test('the pieces are what the gradient is taken by; none flows into a buffer', () => {
    const { source, pieces } = fromFlat(table, flat);
    const { weight, frequencies, bias } = build(source);
    const loss = add(add(sum(square(weight)), sum(square(frequencies))), mul(bias, 3));
    const values = evaluate(gradients(loss, pieces), feeds);
    // d x² = 2 x and d 3 b = 3: small integers, exact.
    expect(values.map(({ data }) => [...data])).toEqual([[0, 2, 4, 6, 8, 10], [0, 0], [3]]);
  });
});

test('views write through to the vector', () => {
  const flat = Float32Array.from({ length: 9 }, (_, i) => i);
  const views = viewsOf(table, flat);
  expect([...views.keys()]).toEqual(['model.layer0.weight', 'model.layer0.freqs', 'bias']);
  expect(views.get('model.layer0.freqs')).toEqual({ shape: [2], data: Float32Array.of(6, 7) });
  views.get('bias')!.data[0] = -1;
  expect(flat[8]).toBe(-1);
});

describe('flatten', () => {
  const values = () =>
    viewsOf(
      table,
      Float32Array.from({ length: 9 }, (_, i) => i + 0.5),
    );

  test('is the inverse of viewsOf, whatever the order of the names', () => {
    const turned = new Map([...values()].reverse());
    expect(flatten(table, turned)).toEqual(Float32Array.from({ length: 9 }, (_, i) => i + 0.5));
  });

  test('refuses what is missing, has another shape, or is unknown', () => {
    const refused = (change: (map: ReturnType<typeof values>) => void, message: string): void => {
      const map = values();
      change(map);
      expect(() => flatten(table, map)).toThrow(UsageError);
      expect(() => flatten(table, map)).toThrow(message);
    };
    refused((map) => map.delete('bias'), 'no parameter "bias" []: it belongs to another network');
    refused(
      (map) => map.set('model.layer0.weight', { shape: [3, 2], data: new Float32Array(6) }),
      'parameter "model.layer0.weight" has shape [2, 3] here and [3, 2] in the checkpoint',
    );
    refused(
      (map) => map.set('bias', { shape: [], data: new Float32Array(2) }),
      'parameter "bias" has shape [] but 2 values',
    );
    refused(
      (map) => map.set('extra', { shape: [1], data: new Float32Array(1) }),
      'a parameter "extra" that this network lacks',
    );
    const map = values().set('model.resample_filter', { shape: [1], data: new Float32Array(1) });
    expect(flatten(table, map, { ignore: (name) => name.endsWith('resample_filter') })).toHaveLength(9);
  });
});

test('starting values depend on the seed alone', () => {
  const draws = parameterTable((source) => {
    source.get('a', [100], { kind: 'normal', std: 1 });
    source.get('b', [100], { kind: 'normal', std: 1 });
  });
  const first = initialize(draws, 5);
  expect(initialize(draws, 5)).toEqual(first);
  expect(initialize(draws, 6)).not.toEqual(first);
  expect(first.subarray(0, 100)).not.toEqual(first.subarray(100));
  expect([...initialize(table, 5)]).toEqual([0, 0, 0, 0, 0, 0, 2, 2, 0]);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import {
  compileRowProducts,
  kernelDistance,
  manifoldMetrics,
  nearestImages,
  plainRowProducts,
} from '../../src/metrics/index.ts';
import type { CompiledRowProducts } from '../../src/metrics/index.ts';
import { forEachProductRow } from '../../src/metrics/row-products.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { expectClose } from '../support/compare.ts';
import { product, transpose } from '../support/linear-algebra.ts';
import { testValues } from '../support/random.ts';

const dimension = 7;
const rows = (count: number, seed: number): Float64Array => testValues(count * dimension, [-1, 1], seed);

describe('products of rows', () => {
  let compiled: CompiledRowProducts;
  beforeAll(async () => {
    compiled = await compileRowProducts(nodeRuntime({ threads: 1 }), dimension);
  });
  afterAll(() => compiled.release());

  // The engine runs 256 by 1024 rows at a time.
  test.each([
    [1, 1],
    [256, 1024],
    [300, 1100],
    [3, 2050],
  ])('on the engine and in plain code are A B^T, %d by %d', async (n, m) => {
    const [a, b] = [rows(n, 1), rows(m, 2)];
    const expected = product(a, transpose(b, m, dimension), [n, dimension, m]);
    // Seven products of at most 1, in another order.
    expectClose(await compiled.products(a, b, dimension), expected, { absolute: 7 ** 2 * 2 ** -52 });
    expectClose(await plainRowProducts(a, b, dimension), expected, { absolute: 7 ** 2 * 2 ** -52 });
  });

  test('an engine for few rows takes no more at a time, and multiplies more all the same', async () => {
    const runtime = nodeRuntime({ threads: 1 });
    const shapes: string[] = [];
    const recording = {
      ...runtime,
      compile: (...[graph]: Parameters<typeof runtime.compile>) => {
        shapes.push(graph.outputs.product.shape.join());
        return runtime.compile(graph);
      },
    };
    const few = await compileRowProducts(recording, dimension, { rows: 20 });
    expect(shapes).toEqual(['20,20']);
    const [a, b] = [rows(31, 1), rows(45, 2)];
    const expected = product(a, transpose(b, 45, dimension), [31, dimension, 45]);
    // As above.
    expectClose(await few.products(a, b, dimension), expected, { absolute: 7 ** 2 * 2 ** -52 });
    await few.release();
  });

  test('the engine refuses rows of another dimension', async () => {
    await expect(compiled.products(new Float64Array(14), new Float64Array(14), 14)).rejects.toThrow(ShapeError);
    await expect(compiled.products(new Float64Array(14), new Float64Array(14), 14)).rejects.toThrow('compiled for 7');
  });

  test('metrics made of them are the same', async () => {
    const { products } = compiled;
    const [a, b] = [rows(270, 1), rows(60, 2)];
    const options = { dimension };
    expect(await kernelDistance(a, b, { ...options, products })).toBeCloseTo(await kernelDistance(a, b, options), 13);
    expect(await manifoldMetrics(a, b, { ...options, products })).toEqual(await manifoldMetrics(a, b, options));
    const dataset = {
      name: 'rows',
      length: 270,
      sampleShape: [dimension],
      dtype: 'float32' as const,
      classes: 0,
      read: (index: number, out: Uint8Array | Float32Array, offset: number) =>
        out.set(a.subarray(index * dimension, (index + 1) * dimension), offset),
      label: () => -1,
    };
    expect(await nearestImages(b, dataset, { products })).toEqual(await nearestImages(b, dataset));
  });

  test('each row is visited once, in order, with all of its products', async () => {
    const [a, b] = [rows(600, 3), rows(5, 4)];
    const visited: number[] = [];
    const all = new Float64Array(600 * 5);
    await forEachProductRow(a, b, dimension, plainRowProducts, (row, each) => {
      visited.push(row);
      all.set(each, row * 5);
    });
    expect(visited).toEqual(Array.from({ length: 600 }, (_, i) => i));
    expect(all).toEqual(await plainRowProducts(a, b, dimension));
  });
});

import { describe, expect, test } from 'vitest';
import { FormatError, ShapeError } from '../../src/errors.ts';
import { evaluate, input, sizeOf, toFloat64 } from '../../src/graph/index.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { asColours, inBatches } from '../../src/metrics/feature-extractor.ts';
import { bilinearMatrix, inceptionShapes, parametersFrom, resizedValues } from '../../src/metrics/inception/index.ts';

/*
 * What `npm run parity` compares with the reference needs the whole network and minutes; here are the parts around it.
 */
describe('the network', () => {
  test('has the parameters of InceptionV3', () => {
    const shapes = inceptionShapes();
    // torchvision's inception_v3 has 27,161,264 parameters with 1000 classes, 3,326,696 of them in the auxiliary head that
    // is left out here; eight more classes have 2048 weights and a bias each.
    const trained = [...shapes].filter(([name]) => !/running_(mean|var)$/.test(name));
    const count = trained.reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
    expect(count).toBe(27_161_264 - 3_326_696 + 8 * 2049);
    // 94 convolutions with a weight and four vectors each, and the last layer.
    expect(shapes.size).toBe(94 * 5 + 2);
    expect(shapes.get('Mixed_6c.branch7x7dbl_4.conv.weight')).toEqual([160, 160, 7, 1]);
  });

  const tensor = (shape: readonly number[], data: readonly number[]): NamedTensor => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from(data),
  });
  const state = (): Map<string, NamedTensor> =>
    new Map([
      ['a.conv.weight', tensor([2, 1, 1, 1], [3, -2])],
      ['a.bn.weight', tensor([2], [2, 1])],
      ['a.bn.bias', tensor([2], [0.5, 0.25])],
      ['a.bn.running_mean', tensor([2], [1, -1])],
      ['a.bn.running_var', tensor([2], [3.999, 0.249])],
    ]);

  test('batch normalisation goes into the convolution before it', () => {
    const { weight, bias } = parametersFrom(state()).convolution('a', [2, 1, 1, 1]);
    const [w, b] = evaluate([weight, bias], new Map()).map(({ data }) => data);
    // γ / sqrt(var + 0.001) is 2 / 2 and 1 / 0.5; the variances are rounded to float32.
    [3, -4].forEach((expected, i) => expect(w[i]).toBeCloseTo(expected, 5));
    [0.5 - 1, 0.25 + 2].forEach((expected, i) => expect(b[i]).toBeCloseTo(expected, 5));
  });

  test.each<[what: string, change: (tensors: Map<string, NamedTensor>) => void, message: RegExp]>([
    ['missing', (tensors) => tensors.delete('a.bn.bias'), /has no tensor "a\.bn\.bias" \[2\]/],
    [
      'of another shape',
      (tensors) => tensors.set('a.bn.bias', tensor([3], [1, 2, 3])),
      /is \[3\], and the FID Inception has \[2\]/,
    ],
    [
      'not finite',
      (tensors) => tensors.set('a.bn.bias', tensor([2], [1, NaN])),
      /"a\.bn\.bias" holds NaN at element 1/,
    ],
  ])('a tensor that is %s is named', (_, change, message) => {
    const tensors = state();
    change(tensors);
    const read = (): unknown => parametersFrom(tensors).convolution('a', [2, 1, 1, 1]);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });
});

describe('the resizer', () => {
  test('keeps images of the size, constants, and what is linear between the borders', () => {
    expect([...bilinearMatrix(3, 3)]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
    for (const [from, to] of [
      [32, 299],
      [64, 299],
      [400, 299],
      [1, 5],
    ]) {
      const matrix = bilinearMatrix(from, to);
      for (let i = 0; i < to; i++) {
        const row = matrix.subarray(i * from, (i + 1) * from);
        const centre = ((i + 0.5) * from) / to - 0.5;
        expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
        // The mean place of the weights is the place itself, clamped at the borders.
        const place = row.reduce((sum, weight, at) => sum + weight * at, 0);
        expect(place).toBeCloseTo(Math.min(Math.max(centre, 0), from - 1), 9);
      }
    }
    // Doubling: quarters and three quarters, and the border pixel alone.
    expect([...bilinearMatrix(2, 4)]).toEqual([1, 0, 0.75, 0.25, 0.25, 0.75, 0, 1]);
  });

  test('pixels become values in [-1, 1]', () => {
    const pixels = input('pixels', [1, 1, 1, 2], 'uint8');
    const [{ data }] = evaluate([resizedValues(pixels, [1, 4])], new Map([[pixels, Float64Array.of(0, 255)]]));
    [...toFloat64(data)].forEach((value, i) => expect(value).toBeCloseTo([-1, -0.5, 0.5, 1][i], 6));
  });
});

describe('batches', () => {
  test('the last one is filled up, and what it was filled with is left out', async () => {
    const shape = [5, 3, 1, 1] as const;
    const pixels = Uint8Array.from({ length: 15 }, (_, i) => i + 1);
    const seen: number[] = [];
    const { features, logits } = await inBatches({ pixels, shape }, 2, (some) => {
      seen.push(some.length);
      return Promise.resolve({ features: Float32Array.from(some), logits: Float32Array.of(some[0], some[3]) });
    });
    expect(seen).toEqual([6, 6, 6]);
    expect([...features]).toEqual([...pixels]);
    expect([...logits!]).toEqual([1, 4, 7, 10, 13]);
  });

  test('grey images are repeated as red, green and blue', () => {
    const { pixels, shape } = asColours({ pixels: Uint8Array.of(1, 2, 3, 4), shape: [2, 1, 1, 2] });
    expect({ pixels: [...pixels], shape }).toEqual({
      pixels: [1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4],
      shape: [2, 3, 1, 2],
    });
    expect(() => asColours({ pixels: new Uint8Array(8), shape: [1, 2, 2, 2] })).toThrow(ShapeError);
  });
});

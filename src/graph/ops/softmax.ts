import { apply, definePrimitive } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { mul, sub } from './elementwise.ts';
import { sum } from './reduction.ts';

type None = Record<string, never>;

const softmaxPrimitive = definePrimitive<None>({
  name: 'softmax',
  infer: ([{ shape, dtype }]) => ({ shape, dtype }),
  evaluate: ([x]) => {
    const length = x.shape.at(-1)!;
    const result = new Float64Array(x.data.length);
    for (let start = 0; start < x.data.length; start += length) {
      const row = x.data.subarray(start, start + length);
      const highest = Math.max(...row);
      const weights = row.map((value) => Math.exp(value - highest));
      const total = weights.reduce((a, b) => a + b, 0);
      result.set(
        weights.map((weight) => weight / total),
        start,
      );
    }
    return result;
  },
  lower: (onnx, [x]) => onnx.node('Softmax', [x], { axis: { int: -1 } }),
  vjp: (dy, node) => {
    const y = node as Tensor;
    return [mul(y, sub(dy, sum(mul(dy, y), -1, true)))];
  },
  examples: [
    { inputs: [[2, 5]], attributes: {} },
    { inputs: [[2, 3, 4]], attributes: {} },
    { inputs: [{ shape: [1, 3], range: [-80, 80] }], attributes: {} },
    { inputs: [[3, 1]], attributes: {} },
  ],
});

/** Softmax over the last axis, with the largest exponent subtracted first. */
export const softmax = (x: Tensor): Tensor => apply(softmaxPrimitive, [x], {});

import { sizeOf } from '../types.ts';
import { fold, keptShape, reduction, sum, sumOver } from './broadcasting.ts';
import { cast, div, equal, mul } from './elementwise.ts';

export { sum };

/** Mean over axes (all by default); arguments as for `sum`. */
export const mean = reduction('mean', {
  onnx: 'ReduceMean',
  evaluate: (x, axes) => {
    const count = sizeOf(x.shape) / sizeOf(keptShape(x.shape, axes));
    return sumOver(x, axes).map((total) => total / count);
  },
  vjp: (dy, _, __, count) => div(dy, count),
});

/** Maximum over axes (all by default), arguments as for `sum`; equal maxima share the gradient. */
export const max = reduction('max', {
  onnx: 'ReduceMax',
  evaluate: (x, axes) => fold(x, axes, -Infinity, Math.max),
  vjp: (dy, x, y) => {
    const isMax = cast(equal(x, y), x.dtype);
    const axes = y.shape.flatMap((d, axis) => (d === 1 && x.shape[axis] !== 1 ? [axis] : []));
    return mul(dy, div(isMax, sum(isMax, axes, true)));
  },
});

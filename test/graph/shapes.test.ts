import { expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import {
  add,
  broadcastTo,
  concat,
  constant,
  conv2d,
  convTranspose2d,
  countFlops,
  downsample2d,
  evaluate,
  gather,
  gradients,
  groupNorm,
  input,
  matmul,
  oneHot,
  replaceAt,
  reshape,
  slice,
  sum,
  transpose,
  where,
} from '../../src/graph/index.ts';

const x = (...shape: number[]) => input('x', shape);

/** What is thrown is a ShapeError that says all of `parts`. */
function refused(build: () => unknown, ...parts: string[]): void {
  expect(build).toThrow(ShapeError);
  for (const part of parts) expect(build).toThrow(part);
}

test('shapes that do not broadcast are both shown', () => {
  refused(() => add(x(2, 3), x(4)), 'add', '[2, 3]', '[4]');
  refused(() => where(constant([1], [1], 'bool'), x(2), x(3)), 'where', '[2]', '[3]');
  refused(() => broadcastTo(x(2, 3), [3]), '[2, 3]', '[3]');
  refused(() => broadcastTo(x(3), [3, 2]), '[3]', '[3, 2]');
});

test('element types that differ are both named', () => {
  refused(() => add(x(2), input('y', [2], 'float64')), 'float32', 'float64', 'cast');
  refused(() => matmul(x(2, 2), input('y', [2, 2], 'float64')), 'float32', 'float64');
});

test('operands that do not fit are shown with what would', () => {
  refused(() => matmul(x(2, 3), x(2, 3)), '[2, 3] times [2, 3]', 'inner sizes 3 and 2');
  refused(() => matmul(x(3), x(3, 2)), 'at least two axes');
  refused(() => conv2d(x(1, 3, 8, 8), x(4, 2, 3, 3)), 'expects 2 input channels', '[1, 3, 8, 8]');
  refused(() => conv2d(x(3, 8, 8), x(4, 3, 3, 3)), '[N, C, H, W]', '[3, 8, 8]');
  refused(() => conv2d(x(1, 3, 2, 2), x(4, 3, 3, 3)), 'does not fit into x [1, 3, 2, 2]');
  refused(() => conv2d(x(1, 3, 8, 8), x(4, 3, 3, 3), { bias: x(3) }), 'needs a bias [4], got [3]');
  refused(() => convTranspose2d(x(1, 3, 8, 8), x(4, 2, 3, 3)), 'expects 4 input channels');
  refused(() => groupNorm(x(1, 6, 2), x(6), x(6), { groups: 4, epsilon: 1e-5 }), '[1, 6, 2]', '4 groups');
  refused(() => groupNorm(x(1, 6, 2), x(4), x(6), { groups: 2, epsilon: 1e-5 }), 'needs 6 scales', '[4]');
  refused(() => downsample2d(x(1, 1, 4, 4), [1, 2, 1]), 'even number of taps, got 3');
  refused(() => concat([x(2, 3), x(3, 2)], 0), '[2, 3]', '[3, 2]', 'axis 0');
  refused(() => slice(x(2, 3), 1, 1, 5), '[1, 5)', 'axis 1', '[2, 3]');
  refused(() => transpose(x(2, 3), [0, 0]), '[0, 0]', '[2, 3]');
  refused(() => sum(x(2, 3), 2), 'axis 2', 'rank 2');
  refused(() => gather(x(3), x(1)), 'int64', 'float32');
  refused(() => replaceAt(x(3), constant([0], [1], 'int64'), x(2)), '[2]', '[1]');
  refused(() => constant([1, 2, 3], [2]), 'needs 2 values, got 3');
});

test('a reshape must keep the number of elements, and its free dimension must be a whole number', () => {
  refused(() => reshape(x(2, 3), [4]), '[2, 3] has 6 elements', '[4]');
  refused(() => reshape(x(5), [2, -1]), '[5] has 5 elements');
  expect(reshape(x(2, 6), [-1, 4]).shape).toEqual([3, 4]);
  expect(reshape(x(2, 6), [-1]).shape).toEqual([12]);
});

test('evaluate wants a value of the right size for every input', () => {
  const a = input('a', [2]);
  refused(() => evaluate([add(a, 1)]), 'no value was given for input "a"');
  refused(() => evaluate([a], new Map([[a, Float64Array.of(1)]])), '"a" has shape [2], got 1 values');
});

test('a label outside 0 .. depth - 1 gives a row of zeros', () => {
  const rows = evaluate([oneHot(constant([1, -1, 3], [3], 'int64'), 3)])[0];
  expect(rows).toEqual({ shape: [3, 3], data: Float64Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0) });
});

test('floating-point operations, counted by hand', () => {
  // [2, 3, 4] · [4, 5]: 2 · 3 · 5 results of 4 multiply-adds each.
  expect(countFlops([matmul(x(2, 3, 4), x(4, 5))])).toBe(2 * (2 * 3 * 5 * 4));
  // 8 images, 16 channels out of 10 × 10 pixels each; every one sums 6 / 2 channels of 3 × 3 taps.
  expect(countFlops([conv2d(x(8, 6, 10, 10), x(16, 3, 3, 3), { padding: 1, groups: 2 })])).toBe(
    2 * (8 * 16 * 10 * 10 * 3 * 9),
  );
  // The two gradients of a convolution cost as much as the convolution each.
  const image = x(2, 3, 8, 8);
  const weight = input('w', [4, 3, 3, 3]);
  const y = conv2d(image, weight, { padding: 1 });
  const once = 2 * (2 * 4 * 8 * 8 * 3 * 9);
  expect(countFlops([y])).toBe(once);
  expect(countFlops(gradients(sum(y), [image, weight]))).toBe(2 * once);
  // Elementwise work and what is shared count once or not at all.
  expect(countFlops([add(y, y), y])).toBe(once);
});

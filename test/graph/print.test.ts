import { expect, test } from 'vitest';
import { conv2d, gradients, input, matmul, mean, mul, printGraph, square, sub, sum } from '../../src/graph/index.ts';

test('a small graph as text', () => {
  const x = input('x', [2, 3]);
  const w = input('w', [3]);
  expect(printGraph([mul(sub(x, w), 2)])).toBe(
    [
      '%0 = input "x" float32[2, 3]',
      '%1 = input "w" float32[3]',
      '%2 = sub(%0, %1) float32[2, 3]',
      '%3 = constant 2 float32[]',
      '%4 = mul(%2, %3) float32[2, 3]',
      'return %4',
    ].join('\n'),
  );
});

test('several outputs, shared nodes, attributes and large constants', () => {
  const x = input('x', [1, 1, 4, 4], 'float64');
  const y = conv2d(x, input('w', [1, 1, 3, 3], 'float64'), { padding: 1 });
  expect(printGraph([y, mean(y)])).toBe(
    [
      '%0 = input "x" float64[1, 1, 4, 4]',
      '%1 = input "w" float64[1, 1, 3, 3]',
      '%2 = conv2d(%0, %1) {"stride":1,"padding":1,"groups":1,"size":[4,4],"kernel":[3,3]} float64[1, 1, 4, 4]',
      '%3 = mean(%2) {"axes":[0,1,2,3],"keepDims":false} float64[]',
      'return %2, %3',
    ].join('\n'),
  );
});

test('the gradient of a graph is a graph: d/dW Σ (x W)² = 2 xᵀ (x W)', () => {
  const x = input('x', [4, 3]);
  const w = input('w', [3, 2]);
  const [dw] = gradients(sum(square(matmul(x, w))), [w]);
  // The square is y · y: its gradient is dy · y from each side, added.
  expect(printGraph([dw])).toBe(
    [
      '%0 = input "x" float32[4, 3]',
      '%1 = input "w" float32[3, 2]',
      '%2 = matmul(%0, %1) {"transposeA":false,"transposeB":false} float32[4, 2]',
      '%3 = constant 1 float32[]',
      '%4 = reshape(%3) {"shape":[1,1]} float32[1, 1]',
      '%5 = broadcastTo(%4) {"shape":[4,2]} float32[4, 2]',
      '%6 = mul(%5, %2) float32[4, 2]',
      '%7 = mul(%5, %2) float32[4, 2]',
      '%8 = add(%6, %7) float32[4, 2]',
      '%9 = matmul(%0, %8) {"transposeA":true,"transposeB":false} float32[3, 2]',
      'return %9',
    ].join('\n'),
  );
});

test('ids of nodes made in between do not show', () => {
  const build = (): string => printGraph([mul(input('x', [2]), 3)]);
  const first = build();
  input('unused', [1]);
  expect(build()).toBe(first);
});

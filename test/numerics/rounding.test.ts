import { expect, test } from 'vitest';
import { roundHalfToEven } from '../../src/numerics/rounding.ts';

test('rounds to the nearest whole number, and halves to the even one', () => {
  const values = [-2.5, -1.5, -0.5, 0, 0.49999999999999994, 0.5, 1.5, 2.4, 2.5, 2.6, 3.5];
  const rounded = [-2, -2, 0, 0, 0, 0, 2, 2, 2, 3, 4];
  // + 0: without the sign of zero.
  expect(values.map((value) => roundHalfToEven(value) + 0)).toEqual(rounded);
});

import { expect } from 'vitest';

/**
 * Fails where |actual - expected| is above `absolute + relative · max |expected|`, and says where and by how much.
 * Scaling by the largest value is right for sums of products, whose rounding error does not shrink with the result.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { relative = 0, absolute = 0 }: { relative?: number; absolute?: number },
  what = 'values',
): void {
  expect(actual.length, `${what}: number of values`).toBe(expected.length);
  let scale = 0;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  const allowed = absolute + relative * scale;
  let worst = 0;
  let at = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!(error <= worst)) [worst, at] = [error, i];
  }
  const message = `${what}: max |a - b| = ${worst.toExponential(2)} at ${at}, expected ${expected[at]}, got ${actual[at]}, allowed ${allowed.toExponential(2)}`;
  expect(worst <= allowed, message).toBe(true);
}

import { describe, expect, test } from 'vitest';
import { NonFiniteError, StfError, UsageError } from '../../src/errors.ts';
import { dormandPrince } from '../../src/numerics/dormand-prince.ts';
import type { Slope } from '../../src/numerics/dormand-prince.ts';
import { expectClose } from '../support/compare.ts';

const decay: Slope = (_, y) => Promise.resolve(y.map((value) => -0.5 * value));
/** The Lotka-Volterra system of SciPy's documentation. */
const lotkaVolterra: Slope = (_, [x, y]) => Promise.resolve(Float64Array.of(1.5 * x - x * y, -3 * y + x * y));

describe("the steps are SciPy's", () => {
  test('exponential decay, as solve_ivp prints it in its documentation', async () => {
    // Default tolerances of solve_ivp; eight decimals are printed.
    const reached: Float64Array[] = [Float64Array.of(2, 4, 8)];
    const { times, y } = await dormandPrince(decay, [0, 10], Float64Array.of(2, 4, 8), {
      rtol: 1e-3,
      atol: 1e-6,
      onStep: (step) => reached.push(step.y),
    });
    const printed = [0, 0.11487653, 1.26364188, 3.06061781, 4.81611105, 6.57445806, 8.33328988, 10];
    expectClose(times, printed, { absolute: 5e-9 });
    expectClose(
      reached.map((each) => each[0]),
      [2, 1.88836035, 1.06327177, 0.43319312, 0.18017253, 0.07483045, 0.03107158, 0.01350781],
      { absolute: 5e-9 },
    );
    expectClose(y, [0.01350781, 0.02701562, 0.05403124], { absolute: 2e-8 });
  });

  test('cost 2 evaluations and 6 more a step that is tried', async () => {
    let evaluations = 0;
    const counted: Slope = (t, y) => {
      evaluations++;
      return decay(t, y);
    };
    const solution = await dormandPrince(counted, [0, 10], Float64Array.of(2, 4, 8), { rtol: 1e-3, atol: 1e-6 });
    expect(solution.evaluations).toBe(evaluations);
    // None of the seven steps of the documentation is rejected: SciPy says nfev = 44.
    expect(evaluations).toBe(44);
  });
});

describe('accuracy', () => {
  /** Error of y' = -y/2 over [0, 10], and steps. */
  const errorAt = async (rtol: number): Promise<{ error: number; steps: number }> => {
    const { y, times } = await dormandPrince(decay, [0, 10], Float64Array.of(1), { rtol, atol: rtol });
    return { error: Math.abs(y[0] - Math.exp(-5)), steps: times.length - 1 };
  };

  test('is of fifth order in the number of steps', async () => {
    // 36 and 207 steps, errors 1.9e-9 and 2.0e-13: order 5.24. Widths differ along the way, so it is not exactly 5.
    const [coarse, fine] = [await errorAt(1e-8), await errorAt(1e-12)];
    const order = Math.log(coarse.error / fine.error) / Math.log(fine.steps / coarse.steps);
    expect(order).toBeGreaterThan(4.7);
    expect(order).toBeLessThan(5.7);
  });

  test.each([1e-4, 1e-6, 1e-8, 1e-10])('follows the tolerance %s', async (tolerance) => {
    // Errors of single steps are held to the tolerance; some tens of steps on a problem that forgets them.
    expect((await errorAt(tolerance)).error).toBeLessThan(10 * tolerance);
  });

  test('is the same back in time', async () => {
    const start = Float64Array.of(10, 5);
    const options = { rtol: 1e-10, atol: 1e-10 };
    const there = await dormandPrince(lotkaVolterra, [0, 5], start, options);
    const back = await dormandPrince(lotkaVolterra, [5, 0], there.y, options);
    // Two solutions of about 300 steps, each step held to 1e-10 of values up to 10, in a system that magnifies by some 100.
    expectClose(back.y, start, { absolute: 1e-6 });
    expect([...start]).toEqual([10, 5]);
  });
});

describe('what can go wrong', () => {
  test('tolerances out of range are refused', async () => {
    const solve = (rtol: number, atol: number) => dormandPrince(decay, [0, 1], Float64Array.of(1), { rtol, atol });
    await expect(solve(0, 1e-6)).rejects.toThrow(UsageError);
    await expect(solve(1e-3, -1)).rejects.toThrow('atol must be at least 0, got -1');
  });

  test('a slope that is not finite is told, not followed', async () => {
    const broken: Slope = (t, y) => Promise.resolve(y.map(() => (t > 0.5 ? NaN : 1)));
    await expect(dormandPrince(broken, [0, 1], Float64Array.of(1), { rtol: 1e-3, atol: 1e-6 })).rejects.toThrow(
      NonFiniteError,
    );
  });

  test('a solution that ends before the time does stops the solver', async () => {
    // y' = y² from 1 is 1 / (1 - t): no solution beyond t = 1.
    const square: Slope = (_, y) => Promise.resolve(y.map((value) => value * value));
    await expect(dormandPrince(square, [0, 2], Float64Array.of(1), { rtol: 1e-3, atol: 1e-6 })).rejects.toThrow(
      StfError,
    );
  });

  test('no time to go is no work', async () => {
    const { y, evaluations } = await dormandPrince(decay, [1, 1], Float64Array.of(3), { rtol: 1e-3, atol: 1e-6 });
    expect([...y, evaluations]).toEqual([3, 0]);
  });
});

import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  ablationDefaults,
  ablationSampler,
  completeAblation,
  countEvaluations,
  discretizations,
  discretizedLevels,
  edmSampler,
  scalings,
  schedules,
  solvers,
} from '../../src/sampling/index.ts';
import type { AblationOptions } from '../../src/sampling/index.ts';
import { scalingOf, scheduleOf } from '../../src/sampling/schedules.ts';
import { expectClose } from '../support/compare.ts';
import { exactFactor, gaussianDenoiser, orderAt, varianceOf } from '../support/gaussian-data.ts';

const s = 0.5;
const denoise = gaussianDenoiser(s);
const cells = solvers.flatMap((solver) =>
  discretizations.flatMap((discretization) =>
    schedules.flatMap((schedule) =>
      scalings.map(
        (scaling) =>
          [
            `${solver} ${discretization} ${schedule} ${scaling}`,
            { solver, discretization, schedule, scaling },
          ] as const,
      ),
    ),
  ),
);

/** Relative error at the last noise level above 0, against the exact solution of the ODE. */
async function errorOf(options: Partial<AblationOptions>): Promise<number> {
  const all = completeAblation(options);
  const levels = discretizedLevels(all.discretization, all);
  let reached = NaN;
  await ablationSampler(denoise, Float64Array.of(1), {
    ...all,
    onStep: ({ index, x }) => {
      if (index === all.steps - 2) reached = x[0];
    },
  });
  const exact = levels[0] * exactFactor(s, levels[0], levels[all.steps - 1]);
  return Math.abs(reached / exact - 1);
}

describe('the grid', () => {
  test('has 48 cells', () => expect(cells).toHaveLength(48));

  test.each(cells)('%s converges to the exact solution with the order of its solver', async (_, cell) => {
    // Whatever the schedule and the scaling, the ODE is the same one. Measured from 256 to 512 steps: 0.98 to 1.08 for
    // Euler, 1.99 to 2.15 for Heun. A table of iDDPM with so many steps that picking its entries does not show.
    const order = await orderAt(256, (steps) => errorOf({ ...cell, steps, m: 50_000 }));
    const expected = cell.solver === 'euler' ? 1 : 2;
    expect(order).toBeGreaterThan(expected - 0.1);
    expect(order).toBeLessThan(expected + 0.25);
  });

  test.each([1 / 2, 2 / 3, 1])('Heun with alpha %s is of second order', async (alpha) => {
    // The midpoint rule is even of third order on a linear equation.
    expect(await orderAt(128, (steps) => errorOf({ steps, alpha }))).toBeGreaterThan(1.9);
  });

  test.each(cells)('%s costs what it says', async (_, cell) => {
    const counted = countEvaluations(denoise);
    const options = completeAblation({ ...cell, steps: 7 });
    const samples = await ablationSampler(counted.denoise, Float64Array.of(1, -1), options);
    expect(counted.evaluations).toBe(cell.solver === 'euler' ? 7 : 13);
    expect(samples[1]).toBe(-samples[0]);
  });
});

describe('noise levels', () => {
  const range = { steps: 5, sigmaMin: 0.02, sigmaMax: 100, rho: 7, epsilonS: 1e-3, c1: 0.001, c2: 0.008, m: 1000 };

  test.each(discretizations)('%s fall from the largest to the smallest and then to 0', (discretization) => {
    const levels = discretizedLevels(discretization, range);
    expect(levels).toHaveLength(6);
    for (let i = 0; i < 5; i++) expect(levels[i]).toBeGreaterThan(levels[i + 1]);
    expect(levels[5]).toBe(0);
    expect(levels[0]).toBeLessThanOrEqual(100 * (1 + 1e-12));
    // iDDPM takes the largest of its own levels that is below: they lie 9 % apart there.
    expect(levels[0]).toBeGreaterThan(discretization === 'iddpm' ? 90 : 100 * (1 - 1e-12));
  });

  test('ve is geometric, vp has equal steps of time', () => {
    const ve = discretizedLevels('ve', range);
    expectClose([ve[1] / ve[0], ve[2] / ve[1]], [ve[3] / ve[2], ve[4] / ve[3]], { relative: 1e-13 });
    const vp = discretizedLevels('vp', range);
    const { time } = scheduleOf('vp', range);
    expectClose(Array.from(vp.subarray(0, 5), time), [1, 0.75025, 0.5005, 0.25075, 0.001], { absolute: 1e-12 });
  });

  test('vp refuses a lowest level so high that its noise rate would fall to 0, and says below which one it does not', () => {
    const levelsFrom = (sigmaMin: number) =>
      discretizedLevels('vp', { ...range, sigmaMin, sigmaMax: 80, epsilonS: 1e-3 });
    expect(() => levelsFrom(0.5)).toThrow(UsageError);
    // √((1 + 80²)^(1e-3 · 1.999) - 1).
    expect(Math.sqrt(6401 ** 1.999e-3 - 1).toPrecision(3)).toBe('0.133');
    expect(() => levelsFrom(0.1331)).toThrow('sigmaMin must be below 0.133 for a VP schedule that has sigmaMax = 80');
    const levels = levelsFrom(0.1329);
    expect(levels.every((level, i) => i === 0 || level < levels[i - 1])).toBe(true);
    expectClose([levels[0], levels.at(-2)!], [80, 0.1329], { relative: 1e-9 });
  });

  test('of the paper are the defaults of a discretization', () => {
    // Karras et al. 2022, Table 1.
    const rangeOf = (discretization: AblationOptions['discretization']) => {
      const { sigmaMin, sigmaMax } = completeAblation({ discretization });
      return [sigmaMin, sigmaMax];
    };
    expect(rangeOf('edm')).toEqual([0.002, 80]);
    expect(rangeOf('iddpm')).toEqual([0.002, 81]);
    expect(rangeOf('ve')).toEqual([0.02, 100]);
    // σ(1) = √(e^(19.9 / 2 + 0.1) - 1).
    expectClose(rangeOf('vp'), [Math.sqrt(Math.expm1(0.5 * 19.9e-6 + 1e-4)), Math.sqrt(Math.expm1(10.05))], {
      relative: 1e-12,
    });
  });
});

describe('schedules and scalings', () => {
  const range = { sigmaMin: 0.002, sigmaMax: 80, epsilonS: 1e-3 };

  test.each(schedules)('%s: the derivative is one and the inverse is one', (name) => {
    const { sigma, derivative, time } = scheduleOf(name, range);
    for (const level of [0.01, 0.5, 3, 70]) {
      const t = time(level);
      expect(sigma(t) / level).toBeCloseTo(1, 10);
      // A central difference errs by h² and rounding / h: about 1e-9 relative at h = 1e-5 t.
      const h = 1e-5 * t;
      expect((sigma(t + h) - sigma(t - h)) / (2 * h) / derivative(t)).toBeCloseTo(1, 6);
    }
  });

  test.each(scalings)('%s: the derivative is one', (name) => {
    const { scale, derivative } = scalingOf(name);
    for (const level of [0.01, 0.5, 3]) {
      const h = 1e-5 * level;
      expect((scale(level + h) - scale(level - h)) / (2 * h)).toBeCloseTo(derivative(level), 7);
    }
  });
});

describe('churn', () => {
  const levels = { ...ablationDefaults, sigmaMin: 0.002, sigmaMax: 80 };

  test.each([
    ['edm', {}],
    ['vp, scaled', { schedule: 'vp', scaling: 'vp' } as const],
    ['ve', { schedule: 've' } as const],
  ])('adds as much noise as it takes away: %s', async (_, cell) => {
    // Exact steps would keep the variance s² + σ² of the data at every level; Heun's error remains, 4 times less with twice
    // the steps: 1.2 % and 0.3 % measured for edm at 64 and 128 steps.
    const errorAt = async (steps: number): Promise<number> => {
      const variance = await varianceOf(steps, (latents, noise) =>
        ablationSampler(denoise, latents, { ...levels, ...cell, steps, sChurn: 40, noise }),
      );
      return Math.abs(variance / s ** 2 - 1);
    };
    expect(await errorAt(256)).toBeLessThan(0.01);
    expect(await orderAt(128, errorAt)).toBeGreaterThan(1);
  });

  test('is limited to a range of noise levels, and to √2 - 1 of a level', async () => {
    const drawn: number[] = [];
    const visited: number[] = [];
    const options = {
      ...levels,
      sChurn: 1e9,
      sMin: 0.05,
      sMax: 50,
      noise: (draw: number) => (drawn.push(draw), Float64Array.of(0)),
    };
    await edmSampler((x, sigma) => (visited.push(sigma), denoise(x, sigma)), Float64Array.of(1), options);
    const own = discretizedLevels('edm', levels);
    const churned = [...own.keys()].filter((i) => own[i] >= 0.05 && own[i] <= 50);
    expect(drawn).toEqual(churned);
    // The first evaluation of a step is at √2 of its level.
    for (const i of churned) expect(visited[2 * i] / own[i]).toBeCloseTo(Math.SQRT2, 12);
  });

  test('needs noise', async () => {
    await expect(edmSampler(denoise, Float64Array.of(1), { ...levels, sChurn: 10 })).rejects.toThrow(UsageError);
  });

  test.each([
    [{ sChurn: -1 }, 'sChurn must be at least 0, got -1'],
    [{ sMin: 2, sMax: 1 }, 'sMax must be at least sMin (2), got 1'],
    [{ alpha: 0 }, 'alpha must be above 0 and at most 1, got 0'],
    [{ epsilonS: 2, schedule: 'vp' as const }, 'epsilonS must be between 0 and 1, got 2'],
    [{ sigmaMin: 90 }, 'Are they swapped?'],
  ])('refuses %o', async (change, message) => {
    await expect(ablationSampler(denoise, Float64Array.of(1), { ...levels, ...change })).rejects.toThrow(message);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ddpmProcess,
  edmProcess,
  flowProcess,
  iddpmAlphaBar,
  iddpmNoiseLevels,
  nearestLevel,
  numberArithmetic,
  priorLogDensity,
  processAtLevel,
  reverseDrift,
  reverseSde,
  smldProcess,
  subVpProcess,
  timestepOf,
  veNoiseLevels,
  veProcess,
  vpAlphaBars,
  vpProcess,
  vpRates,
} from '../../src/diffusion/index.ts';
import type { Process, ProcessConfig } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import { expectClose } from '../support/compare.ts';

const vpSchedule = { betaD: 19.9, betaMin: 0.1 };
const vp = vpProcess(vpSchedule);
const subVp = subVpProcess(vpSchedule);
const ve = veProcess({ sigmaMin: 0.02, sigmaMax: 100 });
const configs = {
  vp: { kind: 'vp', ...vpSchedule, epsilonT: 1e-5, steps: 1000 },
  subVp: { kind: 'sub-vp', ...vpSchedule, epsilonT: 1e-5, steps: 1000 },
  ve: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 },
  edm: { kind: 'edm', sigmaMin: 0.002, sigmaMax: 80 },
  flow: { kind: 'flow', epsilonT: 1e-3 },
} as const satisfies Record<string, ProcessConfig>;
const beta = (t: number): number => 19.9 * t + 0.1;
/** ∫ β from 0 to t by the trapezoidal rule, which is exact for a straight line. */
const integral = (t: number): number => (t * (beta(0) + beta(t))) / 2;
/** Some ten roundings of float64. */
const rounding = { relative: 4e-15 };
const time = fc.double({ min: 1e-9, max: 1, noNaN: true });

describe('processes', () => {
  test.each(Object.entries({ vp, subVp, ve, edm: edmProcess({ sigmaMin: 0.002, sigmaMax: 80 }) }))(
    '%s: time is the inverse of sigma',
    (_, process) => {
      fc.assert(
        fc.property(time, (t) => {
          // VE works with ln(σ / σMin), whose absolute error, not the relative one, is a few roundings of ln(σMax / σMin).
          expectClose([process.time(process.sigma(t))], [t], { ...rounding, absolute: process === ve ? 4e-15 : 0 });
        }),
      );
    },
  );

  test('vp: the integral of the noise rate gives both scale and noise level; data of unit variance keep it', () => {
    fc.assert(
      fc.property(time, (t) => {
        expectClose([vp.scale(t)], [Math.exp(-integral(t) / 2)], rounding);
        expectClose([vp.scale(t) ** 2 * (1 + vp.sigma(t) ** 2)], [1], rounding);
      }),
    );
    // As the reference code prints it, in float32.
    expectClose([vp.sigma(1)], [152.16697692871094], { relative: 2 ** -22 });
  });

  test('vp: no digits are lost at small times, where σ² = B (1 + B / 2 + B² / 6 + ...)', () => {
    for (const t of [1e-5, 1e-8, 1e-12]) {
      const total = integral(t);
      expectClose([vp.sigma(t) ** 2], [total * (1 + total / 2 + total ** 2 / 6)], rounding, `t = ${t}`);
    }
  });

  test('subVp: the noise has the standard deviation 1 - e^-B of Song et al. 2021, Eq. 29', () => {
    fc.assert(
      fc.property(time, (t) => {
        expectClose([subVp.scale(t) * subVp.sigma(t)], [-Math.expm1(-integral(t))], rounding);
        expect(subVp.scale(t)).toBe(vp.scale(t));
      }),
    );
  });

  test('vp and subVp: the diffusion coefficients are those of their stochastic differential equations', () => {
    // g² = 2 s² σ dσ/dt, Karras et al. 2022, Eq. 52. The central difference errs by about step² and rounding / step.
    const step = 1e-6;
    for (const t of [0.01, 0.2, 0.6, 0.99]) {
      const squared = ({ scale, sigma }: typeof vp): number =>
        (scale(t) ** 2 * (sigma(t + step) ** 2 - sigma(t - step) ** 2)) / (2 * step);
      expectClose([squared(vp)], [beta(t)], { relative: 1e-8 }, `vp, t = ${t}`);
      expectClose([squared(subVp)], [beta(t) * -Math.expm1(-2 * integral(t))], { relative: 1e-8 }, `subVp, t = ${t}`);
    }
  });

  test('ve: from sigmaMin to sigmaMax in equal ratios', () => {
    expectClose([0, 0.5, 1].map(ve.sigma), [0.02, Math.SQRT2, 100], rounding);
    expectClose([ve.sigma(0.75) / ve.sigma(0.5)], [5000 ** 0.25], rounding);
    expect(ve.scale(0.3)).toBe(1);
  });
});

const flow = flowProcess({ epsilonT: 1e-3 });
const edm = edmProcess({ sigmaMin: 0.002, sigmaMax: 80 });
const all: [string, Process][] = Object.entries({ vp, subVp, ve, edm, flow });

describe.each(all)('%s as a stochastic differential equation', (name, process) => {
  /** Away from both ends, where the linear path is singular. */
  const times = [0.05, 0.3, 0.6, 0.95].map((share) => share * process.end);
  const step = 1e-6 * process.end;
  const slope = (f: (t: number) => number, t: number): number => (f(t + step) - f(t - step)) / (2 * step);
  // Central differences err by about (rate · 1e-6)², rates being up to 40, and by roundings of 1e-16 / 1e-6.
  const difference = { relative: 1e-8, absolute: 1e-9 };

  test("drift and diffusion are those of scale and noise level: f = s' / s, g² = s² d(σ²) / dt", () => {
    for (const t of times) {
      expectClose([process.drift(t)], [slope((at) => Math.log(process.scale(at)), t)], difference, `f(${t})`);
      const squared = process.scale(t) ** 2 * slope((at) => process.sigma(at) ** 2, t);
      expectClose([process.diffusion(t) ** 2], [squared], difference, `g(${t})²`);
      expectClose([process.deviation(t)], [process.scale(t) * process.sigma(t)], rounding, `deviation(${t})`);
    }
  });

  test('scale and time as functions of the noise level are those of time', () => {
    const config = configs[name as keyof typeof configs];
    for (const t of times) {
      const sigma = process.sigma(t);
      expectClose([process.time(sigma)], [t], rounding);
      expectClose([processAtLevel(numberArithmetic, config, sigma).scale], [process.scale(t)], rounding, `t = ${t}`);
    }
  });

  test('its steps lead to its marginals: the more, the nearer', () => {
    const end = 0.8 * process.end;
    const errors = [1000, 4000].map((steps) => {
      const discrete = process.discretize(steps);
      // Time i / (N - 1) is that of the i-th entry of the tables; half a step more, so that rounding can't take it back.
      const timeOf = (i: number): number => ((i + 0.5) / (steps - 1)) * process.end;
      let [factor, variance] = [1, 0];
      for (let i = 0; timeOf(i) < end; i++) {
        expect(discrete.timestep(timeOf(i))).toBe(i);
        const { drift, diffusion } = discrete.step(timeOf(i));
        factor *= 1 + drift;
        variance = (1 + drift) ** 2 * variance + diffusion ** 2;
      }
      return Math.max(
        Math.abs(factor / process.scale(end) - 1),
        Math.abs(Math.sqrt(variance) / process.deviation(end) - 1),
      );
    });
    // Methods of first order: about rate² T / N, with rates of 10 to 20.
    expect(errors[0]).toBeLessThan(0.1);
    expect(errors[1]).toBeLessThan(errors[0] / 2.5 + 1e-12);
  });

  test('back in time, Gaussian data keep their marginals, with noise and without', () => {
    // Data N(0, 0.25): x(t) is N(0, v) with v = s² (0.25 + σ²), and its score -x / v.
    const variance = (t: number): number => process.scale(t) ** 2 * (0.25 + process.sigma(t) ** 2);
    for (const t of times) {
      const forward = { drift: process.drift(t), diffusion: process.diffusion(t) };
      const flowing = reverseSde(forward, { probabilityFlow: true });
      const [velocity] = reverseDrift(flowing, Float64Array.of(1), [-1 / variance(t)]);
      expect(flowing.diffusion).toBe(0);
      // Samples that move with d ln √v / dt times x have variance v at all times.
      expectClose([velocity], [slope((at) => Math.log(variance(at)) / 2, t)], { ...difference, relative: 1e-7 });
      const noisy = reverseSde(forward);
      const [drift] = reverseDrift(noisy, Float64Array.of(1), [-1 / variance(t)]);
      // Of the equation that runs back: dv/dt = 2 drift v - g².
      expectClose([2 * drift * variance(t) - noisy.diffusion ** 2], [slope(variance, t)], {
        ...difference,
        relative: 1e-7,
      });
    }
  });

  test('its prior is a density, and is where the process ends', () => {
    const width = process.priorDeviation / 100;
    let total = 0;
    for (let i = -1000; i <= 1000; i++) total += Math.exp(priorLogDensity(process, [i * width])) * width;
    // The trapezoidal rule is exact for a Gaussian to rounding, and ten deviations leave out 1e-23.
    expectClose([total], [1], { relative: 1e-12 });
    const [one, other] = [0.3, -1.7].map((x) => x * process.priorDeviation);
    const apart = priorLogDensity(process, [one]) + priorLogDensity(process, [other]);
    expectClose([priorLogDensity(process, [one, other])], [apart], { relative: 1e-14 });
    // VP ends with e^-10.05 of the variance missing.
    expectClose([process.deviation(process.end)], [process.priorDeviation], { relative: 5e-5 });
  });
});

describe('discrete steps', () => {
  test('ve: the variances that are added make up the squares of the table', () => {
    const levels = veNoiseLevels({ sigmaMin: 0.02, sigmaMax: 100 }, 50);
    const discrete = ve.discretize(50);
    let variance = 0;
    levels.forEach((level, i) => {
      variance += discrete.step((i + 0.5) / 49).diffusion ** 2;
      expectClose([Math.sqrt(variance)], [level], { relative: 1e-14 }, `step ${i}`);
    });
    expectClose([levels[0], levels[49]], [0.02, 100], rounding);
  });

  test("vp: DDPM's steps keep the variance of unit data, and their scales make up the table", () => {
    const rates = vpRates(vpSchedule, 100);
    expectClose([rates[0], rates[99]], [0.001, 0.2], rounding);
    const alphaBars = vpAlphaBars(rates);
    const discrete = vp.discretize(100);
    let scale = 1;
    rates.forEach((_, i) => {
      const { drift, diffusion } = discrete.step((i + 0.5) / 99);
      scale *= 1 + drift;
      expectClose([(1 + drift) ** 2 + diffusion ** 2, scale ** 2], [1, alphaBars[i]], { relative: 1e-13 }, `step ${i}`);
    });
  });

  test('ddpm: between two steps nothing changes; data of unit variance keep it', () => {
    const steps = 100;
    const ddpm = ddpmProcess(vpSchedule, steps);
    const alphaBars = vpAlphaBars(vpRates(vpSchedule, steps));
    for (let i = 0; i < steps; i++) {
      const t = Math.min(1, (i + 0.3) / (steps - 1));
      expectClose([ddpm.scale(t) ** 2, ddpm.deviation(t) ** 2], [alphaBars[i], 1 - alphaBars[i]], { absolute: 1e-15 });
      expectClose([ddpm.scale(t) * ddpm.sigma(t)], [ddpm.deviation(t)], { relative: 1e-14 });
    }
  });

  test('smld: the nearest of the discrete levels, of two the one whose place from the top is even', () => {
    const schedule = { sigmaMin: 0.02, sigmaMax: 100 };
    const levels = veNoiseLevels(schedule, 9);
    const smld = smldProcess(schedule, 9);
    for (const [place, level] of levels.entries())
      for (const off of [-0.49, 0, 0.49]) expect(smld.sigma((place + off) / 8)).toBe(level);
    // 8 - 4.5 = 3.5 from the top: 4, which is level 4; 8 - 5.5 = 2.5: 2, which is level 6.
    expect([4.5, 5.5].map((place) => smld.sigma(place / 8))).toEqual([levels[4], levels[6]]);
    expect([smld.scale(0.3), smld.deviation(0.3)]).toEqual([1, smld.sigma(0.3)]);
  });

  test('ancestral noise is that of the posterior for VE, of the step itself for VP, and sub-VP has none', () => {
    const levels = veNoiseLevels({ sigmaMin: 0.02, sigmaMax: 100 }, 50);
    const { ancestralDeviation } = ve.discretize(50);
    for (const i of [1, 20, 49]) {
      // The variance of x_(i-1) given x_i and x₀ of two Gaussian steps: 1 / (1 / σ_(i-1)² + 1 / (σ_i² - σ_(i-1)²)).
      const [before, at] = [levels[i - 1] ** 2, levels[i] ** 2];
      expectClose([ancestralDeviation!((i + 0.5) / 49) ** 2], [1 / (1 / before + 1 / (at - before))], {
        relative: 1e-12,
      });
    }
    expect(ancestralDeviation!(0)).toBe(0);
    expect(vp.discretize(50).ancestralDeviation!(1)).toBe(vp.discretize(50).step(1).diffusion);
    expect(subVp.discretize(50).ancestralDeviation).toBeUndefined();
  });

  test('the index of a step counts from 0 to the last', () => {
    expect([0, 0.5, 0.999, 1].map((t) => timestepOf(t, 1000))).toEqual([0, 499, 998, 999]);
    expect([0, 40, 80].map(edm.discretize(10).timestep)).toEqual([0, 4, 9]);
  });

  test('where the equation of the linear path is singular there is no step, and before there is', () => {
    const discrete = flow.discretize(1000);
    expect(() => discrete.step(1)).toThrow(UsageError);
    expect(() => discrete.step(1)).toThrow('the equation of the process is singular at time 1.');
    const last = discrete.step(1 - 1e-3);
    expectClose([last.drift, last.diffusion ** 2], [-1, 2 * (1e3 - 1) * 1e-3], { relative: 1e-12 });
  });

  test('the time of infinite noise is where nothing of the data is left', () => {
    expect([flow, vp, subVp, ve, edm].map((process) => process.time(Infinity))).toEqual([
      1,
      Infinity,
      Infinity,
      Infinity,
      Infinity,
    ]);
  });

  test('too few steps are refused', () => {
    expect(() => vp.discretize(19)).toThrow(
      'steps must be an integer of at least 20 for a noise rate of up to 20, got 19',
    );
    expect(() => ve.discretize(1)).toThrow(UsageError);
    expect(() => flow.discretize(2.5)).toThrow('steps must be an integer of at least 1, got 2.5');
  });

  test('vectors keep their type', () => {
    const reverse = reverseSde({ drift: 0.5, diffusion: 2 });
    expect(reverseDrift(reverse, Float32Array.of(1, 2), [1, 0.25])).toEqual(Float32Array.of(-3.5, 0));
  });
});

describe('steps of iDDPM', () => {
  const schedule = { c1: 0.001, c2: 0.008, steps: 1000 };
  const levels = iddpmNoiseLevels(schedule);

  test('u_j² + 1 = ᾱ_M / ᾱ_j: the recursion telescopes where its ratio is not bounded', () => {
    const squares = Array.from({ length: 1000 }, (_, i) => 1 + levels[i + 1] ** 2);
    const closed = squares.map((_, i) => iddpmAlphaBar(schedule, 1000) / iddpmAlphaBar(schedule, i + 1));
    // A thousand steps of a few roundings each.
    squares.forEach((square, i) => expectClose([square], [closed[i]], { relative: 1e-12 }, `j = ${i + 1}`));
    // ᾱ_0 = 0: there the bound takes the place of the ratio.
    expectClose([levels[0] ** 2 + 1], [squares[0] / 0.001], { relative: 1e-12 });
  });

  test('fall from the largest level of the published code to the smallest and 0', () => {
    expect(levels).toHaveLength(1001);
    expect(levels.every((level, j) => j === 0 || level < levels[j - 1])).toBe(true);
    expect(levels[1000]).toBe(0);
    // In float32 u² near 0 is the difference of numbers near 1: 4e-5 to about one rounding of 6e-8, half of that for u.
    expectClose([levels[0]], [20291.14453125], { relative: 2e-6 });
    expectClose([levels[999]], [0.006422337144613266], { relative: 1e-3 });
  });

  test('another number of steps and another bound', () => {
    const few = iddpmNoiseLevels({ c1: 0.5, c2: 0.1, steps: 4 });
    const alphaBar = [0, 1, 2, 3, 4].map((j) => Math.sin(((Math.PI / 2) * j) / 4.4) ** 2);
    let next = 0;
    const expected = [4, 3, 2, 1].map((j) => {
      next = Math.sqrt((next ** 2 + 1) / Math.max(alphaBar[j - 1] / alphaBar[j], 0.5) - 1);
      return next;
    });
    expectClose(few, [...expected.reverse(), 0], rounding);
  });

  test('the nearest level is the one that a look at all of them finds', () => {
    const brute = (table: ArrayLike<number>, sigma: number): number => {
      let best = 0;
      for (let j = 1; j < table.length; j++) if (Math.abs(sigma - table[j]) < Math.abs(sigma - table[best])) best = j;
      return best;
    };
    fc.assert(
      fc.property(fc.double({ min: -8, max: 12, noNaN: true }), (logarithm) => {
        const sigma = Math.exp(logarithm);
        expect(nearestLevel(levels, sigma)).toBe(brute(levels, sigma));
      }),
    );
    levels.forEach((level, j) => expect(nearestLevel(levels, level)).toBe(j));
    // Of two that are equally near, the first.
    expect([9, 6, 3, 1, 0].map((sigma) => nearestLevel([8, 4, 2, 0], sigma))).toEqual([0, 0, 1, 2, 3]);
    expect(nearestLevel([5], 3)).toBe(0);
  });
});

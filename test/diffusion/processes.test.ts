import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  edmProcess,
  iddpmAlphaBar,
  iddpmNoiseLevels,
  nearestLevel,
  subVpProcess,
  veProcess,
  vpProcess,
} from '../../src/diffusion/index.ts';
import { expectClose } from '../support/compare.ts';

const vpSchedule = { betaD: 19.9, betaMin: 0.1 };
const vp = vpProcess(vpSchedule);
const subVp = subVpProcess(vpSchedule);
const ve = veProcess({ sigmaMin: 0.02, sigmaMax: 100 });
const beta = (t: number): number => 19.9 * t + 0.1;
/** ∫ β from 0 to t by the trapezoidal rule, which is exact for a straight line. */
const integral = (t: number): number => (t * (beta(0) + beta(t))) / 2;
/** Some ten roundings of float64. */
const rounding = { relative: 4e-15 };
const time = fc.double({ min: 1e-9, max: 1, noNaN: true });

describe('processes', () => {
  test.each(Object.entries({ vp, subVp, ve, edm: edmProcess({ sigmaMin: 0.002, sigmaMax: 80 }) }))('%s: time is the inverse of sigma', (_, process) => {
    fc.assert(
      fc.property(time, (t) => {
        // VE works with ln(σ / σMin), whose absolute error, not the relative one, is a few roundings of ln(σMax / σMin).
        expectClose([process.time(process.sigma(t))], [t], { ...rounding, absolute: process === ve ? 4e-15 : 0 });
      }),
    );
  });

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

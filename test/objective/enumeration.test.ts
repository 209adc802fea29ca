import { describe, expect, test } from 'vitest';
import { evaluate, input } from '../../src/graph/index.ts';
import { stableTarget } from '../../src/objective/index.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Data of three values, where every expectation is a finite sum: the theorem of the stable target (unbiased for every n
 * when the source is among the references, covariance never above that of DSM) checked by enumeration.
 */

const support = [-1, 0.5, 3];
const probabilities = [0.5, 0.3, 0.2];
const sigma = 1;
/** Noisy values at which targets are compared: between, at and far beyond the data. */
const noisy = [-6, -2, -1, 0, 0.25, 1, 1.75, 2.5, 3, 5, 9];

/** Posterior p(source | x): prior times exp(-(x - y)² / (2 σ²)), normalised. */
function sourcePosterior(x: number): number[] {
  const joint = support.map((y, k) => probabilities[k] * Math.exp(-((x - y) ** 2) / (2 * sigma ** 2)));
  const total = joint.reduce((a, b) => a + b, 0);
  return joint.map((each) => each / total);
}

/** All tuples of `length` draws from the data, with their probabilities. */
function draws(length: number): { values: number[]; probability: number }[] {
  if (length === 0) return [{ values: [], probability: 1 }];
  return draws(length - 1).flatMap(({ values, probability }) =>
    support.map((value, k) => ({ values: [...values, value], probability: probability * probabilities[k] })),
  );
}

/** Stable targets of all noisy values when they come from `source`, over one reference batch. */
function targetsWith(count: number): (source: number, references: readonly number[]) => Float64Array {
  const size = noisy.length;
  const clean = input('clean', [size, 1], 'float64');
  const noise = input('noise', [size, 1], 'float64');
  const level = input('sigma', [size], 'float64');
  const reference = input('reference', [count, 1], 'float64');
  const target = stableTarget({ clean, noise, sigma: level }, reference);
  return (source, references) =>
    evaluate(
      [target],
      new Map([
        [clean, new Float64Array(size).fill(source)],
        [noise, Float64Array.from(noisy, (x) => (x - source) / sigma)],
        [level, new Float64Array(size).fill(sigma)],
        [reference, Float64Array.from(references)],
      ]),
    )[0].data;
}

/** E[target | x] and Var[target | x] over the source and over n - 1 other references, or n where the source is left out. */
function targetMoments(count: number, { withSource }: { withSource: boolean }): { mean: number; variance: number }[] {
  const targets = targetsWith(count);
  const first = new Float64Array(noisy.length);
  const second = new Float64Array(noisy.length);
  support.forEach((source, k) => {
    for (const { values, probability } of draws(withSource ? count - 1 : count)) {
      const each = targets(source, withSource ? [source, ...values] : values);
      noisy.forEach((x, i) => {
        const weight = sourcePosterior(x)[k] * probability;
        first[i] += weight * each[i];
        second[i] += weight * each[i] ** 2;
      });
    }
  });
  return noisy.map((_, i) => ({ mean: first[i], variance: second[i] - first[i] ** 2 }));
}

/** E[source | x] and Var[source | x]: the mean and variance of the DSM target. */
const dsm = noisy.map((x) => {
  const weights = sourcePosterior(x);
  const mean = weights.reduce((sum, w, k) => sum + w * support[k], 0);
  return { mean, variance: weights.reduce((sum, w, k) => sum + w * (support[k] - mean) ** 2, 0) };
});

const at = (x: number): number => noisy.indexOf(x);

// Sums of up to 81 terms of size up to 9, each rounded a few times: 1e-13.
const tolerance = { absolute: 1e-12 };

test('the posterior mean at x = 1, as the literature has it', () => {
  // Given to six digits.
  expectClose([dsm[at(1)].mean], [0.405882], { absolute: 5e-7 });
});

describe.each([1, 2, 3, 4])('%i references, the source among them', (count) => {
  const moments = targetMoments(count, { withSource: true });

  test('the stable target is unbiased at every x', () => {
    expectClose(
      moments.map((each) => each.mean),
      dsm.map((each) => each.mean),
      tolerance,
    );
  });

  test('it never varies more than the DSM target, and less from two references on', () => {
    moments.forEach(({ variance }, i) => {
      expect(variance, `x = ${noisy[i]}`).toBeLessThanOrEqual(dsm[i].variance + 1e-12);
      if (count > 1) expect(variance).toBeLessThan(dsm[i].variance);
    });
  });
});

test('a single reference gives the DSM target', () => {
  expectClose(
    targetMoments(1, { withSource: true }).map((each) => each.variance),
    dsm.map((each) => each.variance),
    tolerance,
  );
});

test('more references, less variance', () => {
  const byCount = [1, 2, 3, 4].map((count) => targetMoments(count, { withSource: true }).map((each) => each.variance));
  for (let n = 1; n < byCount.length; n++)
    byCount[n].forEach((variance, i) => expect(variance, `x = ${noisy[i]}`).toBeLessThan(byCount[n - 1][i]));
});

test('without the source it is biased: 0.354052 instead of 0.405882 at x = 1', () => {
  const [{ mean }] = targetMoments(4, { withSource: false }).slice(at(1));
  expectClose([mean], [0.354052], { absolute: 5e-7 });
});

test('the variance is not below DSM / (n - 1) everywhere', () => {
  // At n = 4 the ratio exceeds 1 / 3 in a tail: no pointwise bound of that form may be claimed.
  const ratios = targetMoments(4, { withSource: true }).map(({ variance }, i) => variance / dsm[i].variance);
  expect(Math.max(...ratios)).toBeGreaterThan(1 / 3);
});

import { describe, expect, test } from 'vitest';
import { evaluate, input } from '../../src/graph/index.ts';
import { stableTarget } from '../../src/objective/index.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Data of a few values, where every expectation is a finite sum: the theorem of the stable target (unbiased for every n
 * when the source is among the references, covariance never above that of DSM) checked by enumeration of all reference
 * batches, on the line and in the plane. The target does not depend on the order of the references, so that multisets with
 * their multinomial probabilities stand for all tuples.
 */

/** Data of finitely many values, and the noisy values at which targets are compared. */
interface Discrete {
  readonly atoms: readonly (readonly number[])[];
  readonly probabilities: readonly number[];
  readonly classes: readonly number[];
  readonly sigma: number;
  readonly noisy: readonly (readonly number[])[];
}

const line: Discrete = {
  atoms: [[-1], [0.5], [3]],
  probabilities: [0.5, 0.3, 0.2],
  classes: [0, 1, 0],
  sigma: 1,
  // Between, at and far beyond the data.
  noisy: [-6, -2, -1, 0, 0.25, 1, 1.75, 2.5, 3, 5, 9].map((x) => [x]),
};

const plane: Discrete = {
  atoms: [
    [-1, 0.5],
    [1.2, 1],
    [0.3, -1.5],
    [2, -0.4],
  ],
  probabilities: [0.4, 0.1, 0.3, 0.2],
  classes: [0, 1, 1, 0],
  sigma: 0.8,
  noisy: [-2.5, -0.5, 0.4, 1.5, 4].flatMap((x) => [-3, -1.5, 0, 0.7, 2.2].map((y) => [x, y])),
};

/** How references are drawn and counted. */
interface Drawing {
  /** Whether the source is the first reference, or all of them are drawn afresh. */
  readonly withSource: boolean;
  /** Restrict the target to references of the source's class. */
  readonly byClass?: boolean;
}

const counts = [2, 3, 4, 5, 6];
const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, each, i) => sum + each * b[i], 0);

/** Posterior p(source | x), of sources of one class only where it is given: prior times exp(-|x - y|² / (2 σ²)). */
function sourcePosterior(
  { atoms, probabilities, classes, sigma }: Discrete,
  x: readonly number[],
  ofClass?: number,
): number[] {
  const joint = atoms.map((atom, k) => {
    const gap = x.map((each, axis) => each - atom[axis]);
    const isMeant = ofClass === undefined || classes[k] === ofClass;
    return isMeant ? probabilities[k] * Math.exp(-dot(gap, gap) / (2 * sigma ** 2)) : 0;
  });
  const total = joint.reduce((a, b) => a + b, 0);
  return joint.map((each) => each / total);
}

/** All multisets of `length` draws, as atoms in order, with their probabilities: multinomial coefficient times product. */
function draws({ probabilities }: Discrete, length: number): { atoms: number[]; probability: number }[] {
  const extend = (first: number, left: number): { atoms: number[]; probability: number }[] => {
    if (left === 0) return [{ atoms: [], probability: 1 }];
    if (first === probabilities.length) return [];
    return range(left + 1).flatMap((times) =>
      extend(first + 1, left - times).map(({ atoms, probability }) => ({
        atoms: [...range(times).map(() => first), ...atoms],
        // Of the `left` places that remain, `times` are chosen.
        probability:
          probability * range(times).reduce((product, i) => (product * (left - i) * probabilities[first]) / (i + 1), 1),
      })),
    );
  };
  return extend(0, length);
}

/** Stable targets of all noisy values [noisy, d] when they come from atom `source`, over references given as atoms. */
function targetsOver(
  { atoms, noisy, classes, sigma }: Discrete,
  count: number,
  byClass = false,
): (source: number, references: readonly number[]) => number[][] {
  const [size, dimension] = [noisy.length, atoms[0].length];
  const clean = input('clean', [size, dimension], 'float64');
  const noise = input('noise', [size, dimension], 'float64');
  const level = input('sigma', [size], 'float64');
  const reference = input('reference', [count, dimension], 'float64');
  const labels = { source: input('source', [size], 'int64'), reference: input('classes', [count], 'int64') };
  const target = stableTarget({ clean, noise, sigma: level }, reference, byClass ? { labels } : {});
  return (source, references) => {
    const [{ data }] = evaluate(
      [target],
      new Map([
        [clean, Float64Array.from(noisy.flatMap(() => atoms[source]))],
        [noise, Float64Array.from(noisy.flatMap((x) => x.map((each, axis) => (each - atoms[source][axis]) / sigma)))],
        [level, new Float64Array(size).fill(sigma)],
        [reference, Float64Array.from(references.flatMap((k) => atoms[k]))],
        [labels.source, Float64Array.from(noisy, () => classes[source])],
        [labels.reference, Float64Array.from(references, (k) => classes[k])],
      ]),
    );
    return range(size).map((row) => Array.from(data.subarray(row * dimension, (row + 1) * dimension)));
  };
}

/** Mean vector and covariance matrix, one pair a noisy value. */
interface Moments {
  readonly mean: number[];
  readonly covariance: number[][];
}

/** Collects weighted vectors for each noisy value. */
function momentsOf(
  data: Discrete,
  visit: (add: (row: number, weight: number, value: readonly number[]) => void) => void,
) {
  const dimension = data.atoms[0].length;
  const first = data.noisy.map(() => range(dimension).map(() => 0));
  const second = data.noisy.map(() => range(dimension).map(() => range(dimension).map(() => 0)));
  visit((row, weight, value) => {
    for (const i of range(dimension)) {
      first[row][i] += weight * value[i];
      for (const j of range(dimension)) second[row][i][j] += weight * value[i] * value[j];
    }
  });
  return data.noisy.map((_, row): Moments => ({
    mean: first[row],
    covariance: second[row].map((line, i) => line.map((value, j) => value - first[row][i] * first[row][j])),
  }));
}

/** E[target | x] and Cov[target | x] over the source, of one class only where it is given, and over its references. */
function targetMoments(data: Discrete, count: number, { withSource, byClass }: Drawing, ofClass?: number): Moments[] {
  const targets = targetsOver(data, count, byClass);
  const posteriors = data.noisy.map((x) => sourcePosterior(data, x, ofClass));
  return momentsOf(data, (add) => {
    range(data.atoms.length)
      .filter((source) => ofClass === undefined || data.classes[source] === ofClass)
      .forEach((source) => {
        for (const { atoms, probability } of draws(data, withSource ? count - 1 : count))
          targets(source, withSource ? [source, ...atoms] : atoms).forEach((target, row) =>
            add(row, posteriors[row][source] * probability, target),
          );
      });
  });
}

/** E[source | x] and Cov[source | x]: mean and covariance of the DSM target. */
const dsmMoments = (data: Discrete, ofClass?: number): Moments[] =>
  momentsOf(data, (add) =>
    data.noisy.forEach((x, row) =>
      sourcePosterior(data, x, ofClass).forEach((weight, k) => add(row, weight, data.atoms[k])),
    ),
  );

/** Eigenvalues of a symmetric matrix of one or two rows, the smaller one first. */
function eigenvalues(matrix: readonly (readonly number[])[]): number[] {
  if (matrix.length === 1) return [matrix[0][0]];
  const [[a, b], [, c]] = matrix;
  const spread = Math.hypot((a - c) / 2, b);
  return [(a + c) / 2 - spread, (a + c) / 2 + spread];
}

const difference = (a: Moments, b: Moments): number[][] =>
  a.covariance.map((line, i) => line.map((value, j) => value - b.covariance[i][j]));

const means = (moments: readonly Moments[]): number[] => moments.flatMap(({ mean }) => mean);
const trace = ({ covariance }: Moments): number => covariance.reduce((sum, line, i) => sum + line[i], 0);
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((each, axis) => each - b[axis]));

// Sums of up to a few hundred terms of size up to 9, each rounded a few times: 1e-13.
const tolerance = { absolute: 1e-12 };

test('the posterior mean at x = 1, as the literature has it', () => {
  // Given to six digits.
  const [at] = dsmMoments({ ...line, noisy: [[1]] });
  expectClose(at.mean, [0.405882], { absolute: 5e-7 });
});

test.each([
  ['the line', line],
  ['the plane', plane],
])('the multisets of draws from %s: as many as there are, and all of the probability', (_, data) => {
  for (const length of counts) {
    const all = draws(data, length);
    // Stars and bars: (length + atoms - 1) choose (atoms - 1).
    const bars = data.atoms.length - 1;
    expect(all).toHaveLength(range(bars).reduce((product, i) => (product * (length + bars - i)) / (i + 1), 1));
    expectClose([all.reduce((sum, { probability }) => sum + probability, 0)], [1], { absolute: 1e-14 });
  }
});

describe.each([
  ['the line', line],
  ['the plane', plane],
])('references from %s, the source among them', (_, data) => {
  const dsm = dsmMoments(data);
  const byCount = new Map([1, ...counts].map((count) => [count, targetMoments(data, count, { withSource: true })]));

  test.each([1, ...counts])('%i references: the stable target is unbiased at every x', (count) => {
    expectClose(means(byCount.get(count)!), means(dsm), tolerance);
  });

  test.each(counts)('%i references: its covariance is below that of DSM in every direction', (count) => {
    byCount.get(count)!.forEach((stf, row) => {
      const at = `x = ${data.noisy[row]}`;
      const [lowest] = eigenvalues(difference(dsm[row], stf));
      expect(lowest, at).toBeGreaterThanOrEqual(-1e-12);
      expect(trace(stf), at).toBeLessThan(trace(dsm[row]));
    });
  });

  test('a single reference gives the DSM target', () => {
    byCount
      .get(1)!
      .forEach(({ covariance }, row) => expectClose(covariance.flat(), dsm[row].covariance.flat(), tolerance));
  });

  test('more references, less covariance in every direction', () => {
    for (const count of counts)
      byCount.get(count)!.forEach((stf, row) => {
        const fewer = byCount.get(count - 1)![row];
        expect(eigenvalues(difference(fewer, stf))[0], `x = ${data.noisy[row]}`).toBeGreaterThanOrEqual(-1e-12);
        expect(trace(stf)).toBeLessThan(trace(fewer));
      });
  });

  test('low noise picks the nearest reference, and high noise gives the mean of the batch', () => {
    const batches = draws(data, 4);
    // Distances d that differ by 0.01 and more make |x - y|² / (2 σ²) differ by d · 1e4 and more: the weights are 0 and 1.
    const low = targetsOver({ ...data, sigma: 1e-3 }, 5);
    // The weights are equal up to |x - y|² / (2 σ²) < 1e-14.
    const high = targetsOver({ ...data, sigma: 1e8 }, 5);
    range(data.atoms.length).forEach((source) => {
      for (const { atoms } of batches) {
        const references = [source, ...atoms];
        const values = references.map((k) => data.atoms[k]);
        const batchMean = values[0].map((_, axis) => values.reduce((sum, value) => sum + value[axis], 0) / 5);
        const nearest = data.noisy.map((x) => {
          const gaps = [...new Set(references)].map((k) => ({ value: data.atoms[k], gap: distance(x, data.atoms[k]) }));
          const [first, second] = gaps.sort((a, b) => a.gap - b.gap);
          // Of two atoms at the same distance, or almost, neither is the nearest.
          return second && second.gap - first.gap < 1e-2 ? undefined : first.value;
        });
        low(source, references).forEach((target, row) => {
          if (nearest[row]) expectClose(target, nearest[row], tolerance);
        });
        high(source, references).forEach((target) => expectClose(target, batchMean, tolerance));
      }
    });
  });
});

describe.each([
  ['the line', line],
  ['the plane', plane],
])('references from %s without the source', (_, data) => {
  const dsm = dsmMoments(data);
  const biases = counts.map((count) =>
    targetMoments(data, count, { withSource: false }).map(({ mean }, row) => distance(mean, dsm[row].mean)),
  );

  test('are biased', () => {
    for (const bias of biases) expect(Math.max(...bias)).toBeGreaterThan(0.05);
  });

  test('are the less biased the more there are', () => {
    const largest = biases.map((bias) => Math.max(...bias));
    const mean = biases.map((bias) => bias.reduce((sum, each) => sum + each, 0) / bias.length);
    for (let i = 1; i < counts.length; i++) {
      expect(largest[i]).toBeLessThan(largest[i - 1]);
      expect(mean[i]).toBeLessThan(mean[i - 1]);
    }
  });
});

describe.each([
  ['the line', line],
  ['the plane', plane],
])('classes of %s', (_, data) => {
  describe.each([0, 1])('sources of class %i', (ofClass) => {
    const told = dsmMoments(data, ofClass);

    test.each(counts)('%i references, those of the class counting: unbiased given x and the class', (count) => {
      const stf = targetMoments(data, count, { withSource: true, byClass: true }, ofClass);
      expectClose(means(stf), means(told), tolerance);
      stf.forEach((each, row) =>
        expect(eigenvalues(difference(told[row], each))[0], `x = ${data.noisy[row]}`).toBeGreaterThanOrEqual(-1e-12),
      );
    });

    test.each(counts)('%i references of all classes: biased for a network that is told the class', (count) => {
      const mixed = targetMoments(data, count, { withSource: true }, ofClass);
      const bias = mixed.map(({ mean }, row) => distance(mean, told[row].mean));
      expect(Math.max(...bias)).toBeGreaterThan(0.1);
    });
  });

  test('mixed over the classes as well, the references of all classes are unbiased again', () => {
    const share = data.noisy.map((x) => {
      const posterior = sourcePosterior(data, x);
      return [0, 1].map((ofClass) => posterior.reduce((sum, p, k) => sum + (data.classes[k] === ofClass ? p : 0), 0));
    });
    const [first, second] = [0, 1].map((ofClass) => targetMoments(data, 4, { withSource: true }, ofClass));
    const total = data.noisy.flatMap((_, row) =>
      first[row].mean.map((value, axis) => share[row][0] * value + share[row][1] * second[row].mean[axis]),
    );
    expectClose(total, means(dsmMoments(data)), tolerance);
  });
});

describe('figures on the line', () => {
  test('without the source: 0.354052 instead of 0.405882 at x = 1', () => {
    const [at] = targetMoments({ ...line, noisy: [[1]] }, 4, { withSource: false });
    expectClose(at.mean, [0.354052], { absolute: 5e-7 });
  });

  test('the variance is not below DSM / (n - 1) everywhere', () => {
    // At n = 4 the ratio exceeds 1 / 3 in a tail: no pointwise bound of that form may be claimed.
    const dsm = dsmMoments(line);
    const ratios = targetMoments(line, 4, { withSource: true }).map((stf, row) => trace(stf) / trace(dsm[row]));
    expect(Math.max(...ratios)).toBeGreaterThan(1 / 3);
  });
});

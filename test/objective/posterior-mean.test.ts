import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { constant, evaluate, gradients, input, sum } from '../../src/graph/index.ts';
import { posterior, stableTarget } from '../../src/objective/index.ts';
import type { PosteriorOptions } from '../../src/objective/index.ts';
import { expectClose } from '../support/compare.ts';
import { naivePosterior, rowsOf } from './naive-posterior.ts';

/** B samples of dimension d, n references, flat. */
interface Problem {
  readonly dimension: number;
  readonly clean: Float64Array;
  readonly noise: Float64Array;
  readonly sigma: Float64Array;
  readonly reference: Float64Array;
  readonly sourceLabels: Float64Array;
  readonly referenceLabels: Float64Array;
}

const values = (count: number, bound: number): fc.Arbitrary<Float64Array> =>
  fc
    .array(fc.double({ min: -bound, max: bound, noNaN: true }), { minLength: count, maxLength: count })
    .map((list) => Float64Array.from(list));

/** Random sizes and values; the sources are among the references unless told otherwise; repeated references occur. */
const problems = ({ withSources = true, dimensions = [1, 4] } = {}): fc.Arbitrary<Problem> =>
  fc
    .tuple(
      fc.integer({ min: dimensions[0], max: dimensions[1] }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 9 }),
      fc.nat(9),
    )
    .chain(([dimension, batch, others, repeated]) => {
      const count = withSources ? batch + others : others + 1;
      const integers = (length: number): fc.Arbitrary<Float64Array> =>
        fc.array(fc.nat(2), { minLength: length, maxLength: length }).map((list) => Float64Array.from(list));
      return fc
        .record({
          clean: values(batch * dimension, 2),
          noise: values(batch * dimension, 3),
          logSigma: values(batch, Math.log(20)),
          reference: values(count * dimension, 2),
          sourceLabels: integers(batch),
          referenceLabels: integers(count),
        })
        .map(({ logSigma, ...rest }) => {
          const last = repeated % count;
          rest.reference.copyWithin(last * dimension, 0, dimension);
          if (withSources) {
            rest.reference.set(rest.clean);
            rest.referenceLabels.set(rest.sourceLabels);
          } else rest.referenceLabels.fill(rest.sourceLabels[0]);
          return { dimension, sigma: logSigma.map(Math.exp), ...rest };
        });
    });

const float64 = (data: Float64Array, columns?: number) =>
  constant(data, columns === undefined ? [data.length] : [data.length / columns, columns], 'float64');

const int64 = (data: Float64Array) =>
  constant(
    BigInt64Array.from(data, (each) => BigInt(each)),
    [data.length],
    'int64',
  );

interface Restrictions {
  readonly labelled?: boolean;
  /** Whether reference k counts for sample i. */
  readonly counted?: ((i: number, k: number) => boolean) | undefined;
}

/** [B, n] as the graph takes it. */
function countsOf({ sigma, referenceLabels }: Problem, counted: (i: number, k: number) => boolean) {
  const [batch, count] = [sigma.length, referenceLabels.length];
  const values = Uint8Array.from({ length: batch * count }, (_, at) =>
    Number(counted(Math.floor(at / count), at % count)),
  );
  return constant(values, [batch, count], 'bool');
}

function compute(problem: Problem, { labelled = false, counted, ...options }: PosteriorOptions & Restrictions = {}) {
  const { dimension, clean, noise, sigma, reference, sourceLabels, referenceLabels } = problem;
  const result = posterior(
    { clean: float64(clean, dimension), noise: float64(noise, dimension), sigma: float64(sigma) },
    float64(reference, dimension),
    {
      ...options,
      counts: counted && countsOf(problem, counted),
      ...(labelled && { labels: { source: int64(sourceLabels), reference: int64(referenceLabels) } }),
    },
  );
  const [mean, variance, effectiveSources] = evaluate([result.mean, result.variance, result.effectiveSources]);
  return { mean: mean.data, variance: variance.data, effectiveSources: effectiveSources.data };
}

function expected(problem: Problem, { labelled = false, counted = () => true }: Restrictions = {}) {
  const { dimension, clean, noise, sigma, reference, sourceLabels, referenceLabels } = problem;
  const [sources, noises, references] = [clean, noise, reference].map((each) => rowsOf(each, dimension));
  const all = sources.map((source, i) =>
    naivePosterior(
      { clean: source, noise: noises[i], sigma: sigma[i] },
      references,
      (k) => (!labelled || referenceLabels[k] === sourceLabels[i]) && counted(i, k),
    ),
  );
  return {
    mean: all.flatMap((each) => [...each.mean]),
    variance: all.map((each) => each.variance),
    effectiveSources: all.map((each) => each.effectiveSources),
  };
}

// Log-weights are off by at most some ten roundings of terms up to |x|² / σ² = 4 · (2 + 60)² for the largest σ = 20 and
// 4 · (2 + 0.15)² · 400 for the smallest, 0.05: 1e4 · 1e-15 = 1e-11, and weights and moments (up to 16) by 16 times that.
const tolerance = { absolute: 1e-9, relative: 1e-9 };

function compare(problem: Problem, options: PosteriorOptions & Restrictions = {}): void {
  const actual = compute(problem, options);
  const oracle = expected(problem, options);
  expectClose(actual.mean, oracle.mean, tolerance, 'mean');
  expectClose(actual.variance, oracle.variance, tolerance, 'variance');
  expectClose(actual.effectiveSources, oracle.effectiveSources, tolerance, 'effective sources');
}

describe('the posterior in float64 is the soft-max over explicit distances', () => {
  test('with the sources among the references', () => {
    fc.assert(fc.property(problems(), (problem) => compare(problem)));
  });

  test('without them', () => {
    fc.assert(fc.property(problems({ withSources: false }), (problem) => compare(problem)));
  });

  test('whatever the number of candidates that are worked out again', () => {
    fc.assert(
      fc.property(problems({ dimensions: [5, 7] }), fc.constantFrom(0.3, 1, 3, 20), (problem, candidates) =>
        compare(problem, { candidates }),
      ),
    );
  });

  test('in blocks of any size', () => {
    fc.assert(fc.property(problems(), fc.constantFrom(1, 3, 5, 100), (problem, block) => compare(problem, { block })));
  });

  test('restricted to the class of each source', () => {
    fc.assert(
      fc.property(
        problems({ dimensions: [3, 6] }),
        fc.constantFrom(1, 2, 100),
        fc.constantFrom(1, 16),
        (problem, block, candidates) => compare(problem, { block, candidates, labelled: true }),
      ),
    );
  });

  test('restricted to references that count, and to both', () => {
    // The source counts always, so that there is one; of the others a pattern that differs from sample to sample.
    const counted = (i: number, k: number): boolean => i === k || (i + 2 * k) % 3 === 0;
    fc.assert(
      fc.property(
        problems({ dimensions: [3, 6] }),
        fc.constantFrom(2, 100),
        fc.boolean(),
        fc.constantFrom(1, 16),
        (problem, block, labelled, candidates) => compare(problem, { block, labelled, candidates, counted }),
      ),
    );
  });
});

describe('limits', () => {
  const problem: Problem = {
    dimension: 2,
    clean: Float64Array.of(0, 0, 1, 1),
    noise: Float64Array.of(0.3, -0.2, -1, 0.5),
    sigma: Float64Array.of(1e-6, 1e-6),
    reference: Float64Array.of(0, 0, 1, 1, -1, 0.5, 0.1, 0, 1, 0.9),
    sourceLabels: Float64Array.of(0, 0),
    referenceLabels: Float64Array.of(0, 0, 0, 0, 0),
  };

  test('without noise the target is the nearest reference, which is the source', () => {
    const { mean, effectiveSources, variance } = compute(problem);
    // The next reference is 0.1 away: its weight is e^(-0.5e10) = 0. The mean is put together as (y - centre) + centre.
    expectClose(mean, [0, 0, 1, 1], { absolute: 4e-16 });
    expect([...effectiveSources]).toEqual([1, 1]);
    expectClose(variance, [0, 0], { absolute: 4e-16 });
  });

  test('without noise and without the sources it is the nearest of the others', () => {
    const reference = problem.reference.slice(4);
    const others = { ...problem, reference, referenceLabels: new Float64Array(3) };
    expectClose(compute(others).mean, [0.1, 0, 1, 0.9], { absolute: 4e-16 });
  });

  test('drowned in noise it is the plain mean', () => {
    const { mean, effectiveSources } = compute({ ...problem, sigma: Float64Array.of(1e9, 1e9) });
    const average = [0, 1].map((axis) => problem.reference.reduce((s, v, i) => s + (i % 2 === axis ? v / 5 : 0), 0));
    // Log-weights differ by z · (y - y') / σ, some 1e-9 each.
    expectClose(mean, [...average, ...average], { absolute: 1e-8 });
    expectClose(effectiveSources, [5, 5], { absolute: 1e-8 });
  });

  test('a single reference is the target, exactly', () => {
    const single = { ...problem, reference: Float64Array.of(0.1, 0.7), referenceLabels: new Float64Array(1) };
    expect([...compute(single).mean]).toEqual([0.1, 0.7, 0.1, 0.7]);
  });

  test('repeating every reference changes nothing but the number of sources', () => {
    fc.assert(
      fc.property(problems(), (each) => {
        const twice = {
          ...each,
          reference: Float64Array.from([...each.reference, ...each.reference]),
          referenceLabels: Float64Array.from([...each.referenceLabels, ...each.referenceLabels]),
        };
        const [once, doubled] = [compute(each), compute(twice)];
        expectClose(doubled.mean, once.mean, tolerance);
        expectClose(
          doubled.effectiveSources,
          once.effectiveSources.map((n) => 2 * n),
          tolerance,
        );
      }),
    );
  });
});

test('no gradient flows through the stable target', () => {
  const clean = input('clean', [1, 2], 'float64');
  const reference = input('reference', [3, 2], 'float64');
  const noise = input('noise', [1, 2], 'float64');
  const target = stableTarget({ clean, noise, sigma: constant([1], [1], 'float64') }, reference);
  const zeros = evaluate(gradients(sum(target), [clean, noise, reference]));
  expect(zeros.every(({ data }) => data.every((value) => value === 0))).toBe(true);
});

test('references of another dimension than the samples are refused', () => {
  const sample = { clean: input('c', [2, 3]), noise: input('z', [2, 3]), sigma: input('s', [2]) };
  expect(() => posterior(sample, input('r', [5, 4]))).toThrow(ShapeError);
  expect(() => posterior(sample, input('r', [5, 4]))).toThrow('samples are [2, 3], references [5, 4]');
});

test('a sample for which no reference counts has no target, and the others keep theirs', () => {
  const column = (...values: number[]) => constant(values, [values.length, 1], 'float64');
  const int64 = (...values: number[]) => constant(BigInt64Array.from(values, BigInt), [values.length], 'int64');
  const perturbation = { clean: column(1, 2), noise: column(0.3, -0.4), sigma: constant([1, 1], [2], 'float64') };
  const labels = { source: int64(0, 1), reference: int64(1, 1, 2) };
  const [target] = evaluate([stableTarget(perturbation, column(2, 3, 7), { labels })]);
  const x = 2 - 0.4;
  const weight = Math.exp(((x - 2) ** 2 - (x - 3) ** 2) / 2);
  expect(target.data[0]).toBeNaN();
  // Two roundings of a soft-max.
  expectClose([target.data[1]], [(2 + 3 * weight) / (1 + weight)], { relative: 1e-14 });
});

test('no references at all are refused', () => {
  const sample = { clean: input('c', [2, 3]), noise: input('z', [2, 3]), sigma: input('s', [2]) };
  expect(() => posterior(sample, input('r', [0, 3]))).toThrow('there must be at least 1 reference, got 0');
});

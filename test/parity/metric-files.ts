import { z } from 'zod';
import {
  featureStatistics,
  frechetDistance,
  inceptionScore,
  kernelDistance,
  manifoldMetrics,
  neighbourRadii,
} from '../../src/metrics/index.ts';
import type { Features } from '../../src/metrics/index.ts';
import { mean, populationStandardDeviation, standardDeviation } from '../../src/numerics/statistics.ts';
import { BadData, closeCheck, compare, same, Unsupported } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';
import { allowedInFloat64, largestOf } from './tolerance.ts';

/** A number; those that JSON has no literal for are strings. */
const scalar = z.union([z.number(), z.enum(['Infinity', '-Infinity', 'NaN']).transform(Number)]);

/** Whether the results that an entry expects have a name that the condition holds for. */
function expects(entry: Entry, condition: (name: string) => boolean): boolean {
  const expected = field(entry, 'expected');
  return typeof expected === 'object' && expected !== null && Object.keys(expected).some(condition);
}

/** Rows of features in either precision. */
function rowsOf(file: ParityFile, name: string): { count: number; dimension: number; data: Features } {
  const { shape, data } = file.get(name);
  if (!(data instanceof Float32Array || data instanceof Float64Array) || shape.length !== 2)
    throw new BadData(`tensor "${name}" in ${file.name} is not a matrix of F32 or F64`);
  return { count: shape[0], dimension: shape[1], data };
}

const tolerances = z.looseObject({ rtol: z.number().default(0), atol: z.number().default(0) });

const frechetSchema = z.looseObject({
  expected: z.record(z.string(), scalar),
  tolerance: tolerances.extend({
    atol_vs_nuclear_norm: z.number().optional(),
    atol_vs_scipy: z.number().optional(),
  }),
});

/** Fréchet distances of two sets of features, of which mean and covariance may be stored. */
export const frechetFiles: Checker = {
  recognises: (entry) => expects(entry, (name) => name.startsWith('fid_')),

  check: ({ file }) => {
    const { expected, tolerance } = frechetSchema.parse(file.entry);
    const checks: Check[] = [];
    const [ours, stored] = [new Map<string, ReturnType<typeof featureStatistics>>(), new Map<string, Moments>()];
    for (const set of ['a', 'b']) {
      const { data, dimension, count } = rowsOf(file, `features_${set}`);
      const statistics = featureStatistics(data, dimension);
      ours.set(set, statistics);
      // The reference subtracts n mu mu^T from the sum of n products, each of which rounds.
      const allowedOfSums = count * 2 ** -52 * largestOf(data) ** 2;
      const [mu, sigma] = [file.find(`mu_${set}`), file.find(`sigma_${set}`)];
      if (mu && sigma) {
        checks.push(compare(`mu_${set}`, statistics.mu, mu.data, allowedOfSums));
        checks.push(compare(`sigma_${set}`, statistics.sigma, sigma.data, allowedOfSums));
        stored.set(set, { mu: file.doubles(`mu_${set}`), sigma: file.doubles(`sigma_${set}`) });
      }
      const trace = Array.from(statistics.mu, (_, i) => statistics.sigma[i * (dimension + 1)]).reduce((x, y) => x + y);
      if (`trace_${set}` in expected)
        checks.push(compare(`trace_${set}`, [trace], [expected[`trace_${set}`]], dimension * allowedOfSums));
    }
    const { rtol, atol, atol_vs_nuclear_norm: nuclear, atol_vs_scipy: scipy } = tolerance;
    for (const [from, statistics] of [
      ['features', ours],
      ['stored statistics', stored],
    ] as const) {
      const [a, b] = [statistics.get('a'), statistics.get('b')];
      if (!a || !b) continue;
      const results = [frechetDistance(a, b), frechetDistance(b, a)];
      for (const [name, value] of Object.entries(expected)) {
        if (name.startsWith('fid_')) {
          const special = name.includes('nuclear') ? nuclear : scipy;
          const allowed = special ?? atol + rtol * Math.abs(value);
          const both = results.map(({ distance }) => distance);
          checks.push(compare(`${name} of ${from}, both ways`, both, [value, value], allowed));
        }
      }
      const { ranks } = results[0];
      ['a', 'b'].forEach((set, i) => {
        if (`rank_${set}` in expected) checks.push(same(`rank_${set} of ${from}`, ranks[i], expected[`rank_${set}`]));
      });
    }
    requireKnown(file, Object.keys(expected), /^(fid_\w+|rank_[ab]|trace_[ab])$/);
    return Promise.resolve({ checks });
  },
};

type Moments = Parameters<typeof frechetDistance>[0];

const splitSchema = z.looseObject({
  mean: scalar,
  std_population: scalar.optional(),
  std_sample: scalar.optional(),
});
const inceptionScoreSchema = z.looseObject({ expected: z.record(z.string(), splitSchema), tolerance: tolerances });

/** Inception Scores for one or several numbers of splits, from logits or probabilities. */
export const inceptionScoreFiles: Checker = {
  recognises: (entry) => expects(entry, (name) => /^splits_\d+$/.test(name)),

  check: ({ file }) => {
    const { expected, tolerance } = inceptionScoreSchema.parse(file.entry);
    requireKnown(file, Object.keys(expected), /^splits_\d+$/);
    const from = file.names().includes('logits') ? 'logits' : 'probabilities';
    const { data, dimension: classes } = rowsOf(file, from);
    const given = [[from, data] as const];
    if (from === 'logits') given.push(['probabilities', softmax(data, classes)]);
    const checks = given.flatMap(([kind, rows]) =>
      Object.entries(expected).flatMap(([name, numbers]) => {
        const splits = Number(name.replace('splits_', ''));
        const { scores, ...score } = inceptionScore(rows, { classes, splits, from: kind });
        const close = (what: string, actual: ArrayLike<number>, values: ArrayLike<number>): Check =>
          closeCheck(`${what} for ${splits} splits of ${kind}`, actual, values, tolerance);
        const stored = file.find(`split_scores_${splits}`);
        return [
          close('mean', [score.mean], [numbers.mean]),
          ...(stored ? [close('scores', scores, file.doubles(`split_scores_${splits}`))] : []),
          // A spread is a difference of scores: what is allowed of them is allowed of it.
          ...spreads(numbers, scores, tolerance.atol + tolerance.rtol * largestOf(scores)).map((check) => ({
            ...check,
            what: `${check.what} for ${splits} splits of ${kind}`,
          })),
          compare(
            'our standard deviation is that of the population',
            [score.standardDeviation],
            [populationStandardDeviation(scores)],
            0,
          ),
        ];
      }),
    );
    return Promise.resolve({ checks });
  },
};

/** Standard deviations with either divisor, of which one value has only that of the population. */
function spreads(
  { std_population, std_sample }: { std_population?: number | undefined; std_sample?: number | undefined },
  values: Float64Array,
  allowed: number,
): Check[] {
  return [
    ...(std_population === undefined
      ? []
      : [compare('std_population', [populationStandardDeviation(values)], [std_population], allowed)]),
    ...(std_sample === undefined || values.length < 2
      ? []
      : [compare('std_sample', [standardDeviation(values)], [std_sample], allowed)]),
  ];
}

function softmax(logits: Features, classes: number): Float64Array {
  const out = new Float64Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    const row = Array.from(logits.subarray(start, start + classes));
    const largest = Math.max(...row);
    const powers = row.map((each) => Math.exp(each - largest));
    const sum = powers.reduce((a, b) => a + b);
    out.set(
      powers.map((each) => each / sum),
      start,
    );
  }
  return out;
}

const kernelSchema = z.looseObject({
  expected: z.looseObject({
    mmd2_full: scalar.optional(),
    mmd2_full_identical_sets: scalar.optional(),
    kid_mean: scalar.optional(),
    kid_std_population: scalar.optional(),
    kid_std_sample: scalar.optional(),
  }),
  kwargs: z.looseObject({
    degree: z.number().default(3),
    gamma: z.union([z.number(), z.string()]).default('1/d'),
    coef0: z.number().default(1),
  }),
  tolerance: tolerances,
});

/** Kernel Inception Distance of whole sets and of stored subsets. */
export const kernelFiles: Checker = {
  recognises: (entry) => expects(entry, (name) => name.startsWith('kid_') || name.startsWith('mmd2_')),

  check: async ({ file }) => {
    const { expected, kwargs, tolerance } = kernelSchema.parse(file.entry);
    requireKnown(
      file,
      Object.keys(expected),
      /^(mmd2_full|mmd2_full_identical_sets|kid_mean|kid_std_(population|sample))$/,
    );
    const [a, b] = [rowsOf(file, 'features_a'), rowsOf(file, 'features_b')];
    const { dimension } = a;
    const { degree, coef0: offset } = kwargs;
    if (typeof kwargs.gamma === 'string' && kwargs.gamma !== '1/d')
      throw new Unsupported(`gamma ${JSON.stringify(kwargs.gamma)} is neither a number nor 1/d`);
    const gamma = typeof kwargs.gamma === 'number' ? kwargs.gamma : 1 / dimension;
    const kernel = { dimension, degree, offset, gamma };
    const close = (what: string, actual: number, value: number | undefined): Check[] =>
      value === undefined ? [] : [closeCheck(what, [actual], [value], tolerance)];

    const [rowsA, rowsB] = [file.integers('subset_index_a'), file.integers('subset_index_b')];
    const values = new Float64Array(rowsA.shape[0]);
    const subset = ({ data }: { data: Features }, { shape, data: rows }: typeof rowsA, s: number): Float64Array => {
      const chosen = rows.slice(s * shape[1], (s + 1) * shape[1]);
      return Float64Array.from(chosen.flatMap((row) => [...data.subarray(row * dimension, (row + 1) * dimension)]));
    };
    for (let s = 0; s < values.length; s++)
      values[s] = await kernelDistance(subset(a, rowsA, s), subset(b, rowsB, s), kernel);
    const allowedOfSpread = tolerance.atol + tolerance.rtol * largestOf(values);
    return {
      checks: [
        ...close('mmd2_full', await kernelDistance(a.data, b.data, kernel), expected.mmd2_full),
        ...close('identical sets', await kernelDistance(a.data, a.data, kernel), expected.mmd2_full_identical_sets),
        closeCheck('subset_mmd2', values, file.doubles('subset_mmd2'), tolerance),
        ...close('kid_mean', mean(values), expected.kid_mean),
        ...spreads(
          { std_population: expected.kid_std_population, std_sample: expected.kid_std_sample },
          values,
          allowedOfSpread,
        ),
      ],
    };
  },
};

const manifoldSchema = z.looseObject({
  expected: z.looseObject({
    precision: z.number(),
    recall: z.number(),
    density: z.number().optional(),
    coverage: z.number().optional(),
  }),
  kwargs: z.looseObject({ k: z.number() }),
  tolerance: z.looseObject({ radius_rtol: z.number().default(1e-12) }),
});

/** Precision, recall, density and coverage, and the balls that they are made of. */
export const manifoldFiles: Checker = {
  recognises: (entry) => expects(entry, (name) => name === 'precision'),

  check: async ({ file }) => {
    const { expected, kwargs, tolerance } = manifoldSchema.parse(file.entry);
    requireKnown(file, Object.keys(expected), /^(precision|recall|density|coverage)$/);
    const { k } = kwargs;
    const [real, fake] = [rowsOf(file, 'real'), rowsOf(file, 'fake')];
    const { dimension } = real;
    const result = await manifoldMetrics(real.data, fake.data, { dimension, k, densityK: k });
    const radius = async (name: string, { data }: typeof real): Promise<Check[]> => {
      if (!file.find(name)) return [];
      const ours = await neighbourRadii(data, { dimension, k });
      return [closeCheck(name, ours, file.doubles(name), { atol: 0, rtol: tolerance.radius_rtol })];
    };
    const flags = (name: string, ours: Uint8Array): Check[] => {
      const stored = file.find(name);
      return stored ? [compare(name, ours, stored.data, 0)] : [];
    };
    return {
      checks: [
        ...(await radius('radius_real', real)),
        ...(await radius('radius_fake', fake)),
        ...flags('fake_in_real', result.fakeInReal),
        ...flags('real_in_fake', result.realInFake),
        // Counts divided by counts: a rounding or two.
        ...(['precision', 'recall', 'density', 'coverage'] as const).flatMap((name) => {
          const value = expected[name];
          return value === undefined ? [] : [compare(name, [result[name]], [value], allowedInFloat64(value))];
        }),
      ],
    };
  },
};

/** @throws Unsupported for an expected result that no check looks at */
function requireKnown(file: ParityFile, names: readonly string[], known: RegExp): void {
  const other = names.find((name) => !known.test(name));
  if (other !== undefined) throw new Unsupported(`${file.name} expects "${other}", which is not checked`);
}

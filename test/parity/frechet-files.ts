import { z } from 'zod';
import { featureStatistics, frechetDistance } from '../../src/metrics/index.ts';
import { compare, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { expects, requireKnown, rowsOf, scalar, tolerances } from './metric-entries.ts';
import { largestOf } from './tolerance.ts';

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

import { z } from 'zod';
import { inceptionScore } from '../../src/metrics/index.ts';
import type { Features } from '../../src/metrics/index.ts';
import { populationStandardDeviation } from '../../src/numerics/statistics.ts';
import { closeCheck, compare } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { expects, requireKnown, rowsOf, scalar, spreads, tolerances } from './metric-entries.ts';
import { largestOf } from './tolerance.ts';

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

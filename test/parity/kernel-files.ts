import { z } from 'zod';
import { kernelDistance } from '../../src/metrics/index.ts';
import type { Features } from '../../src/metrics/index.ts';
import { mean } from '../../src/numerics/statistics.ts';
import { closeCheck, Unsupported } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { expects, requireKnown, rowsOf, scalar, spreads, tolerances } from './metric-entries.ts';
import { largestOf } from './tolerance.ts';

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

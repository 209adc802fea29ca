import { z } from 'zod';
import { manifoldMetrics, neighbourRadii } from '../../src/metrics/index.ts';
import { closeCheck, compare } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { expects, requireKnown, rowsOf } from './metric-entries.ts';
import { allowedInFloat64 } from './tolerance.ts';

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

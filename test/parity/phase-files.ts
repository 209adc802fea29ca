import { z } from 'zod';
import { posteriorWeights, readExactly, sampleMeasures, summarize, varianceFactor } from '../../src/analysis/index.ts';
import type { PhaseLevel, SampleMeasures } from '../../src/analysis/index.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { sampleSize } from '../../src/data/dataset.ts';
import { standardDeviation } from '../../src/numerics/statistics.ts';
import { compileDetailedPosterior } from '../../src/objective/index.ts';
import { closeCheck, compare, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry } from './folder.ts';
import { firstCifarImages, hashedNoise, perturbedRows, storedImages } from './phase-data.ts';

/*
 * The posterior over a set of images: with stored images and noise, or the first of CIFAR-10 with hashed noise. Ours runs
 * in float64, so that the manifest's tolerances hold: they are those of float64 arithmetic. In float32, as the analysis
 * runs, it is held against the same values at tolerances of its own, below.
 */

/**
 * In float32 a log-weight is off by about 2⁻²⁴ |x|² / 2σ² roundings where σ is large, some 1e-4 nats at σ of a few, and the
 * pairs that matter at small σ are worked out exactly: all that follows from the weights is off by as much, relatively.
 */
const inFloat32 = 1e-4;

const tableRow = z.looseObject({
  sigma: z.number(),
  trcov_mean: z.number(),
  trcov_se: z.number(),
  trcov_over_sigma2: z.number(),
  trcov_over_sigma4: z.number(),
  entropy_mean: z.number(),
  ess_mean: z.number(),
  ess_median: z.number(),
  source_weight_mean: z.number(),
});

const entrySchema = z.looseObject({
  kwargs: z.looseObject({
    t_offset: z.number().optional(),
    n_images: z.number().optional(),
    points: z.number(),
  }),
  tolerance: z.looseObject({ atol: z.number(), rtol: z.number(), posterior_mean_atol: z.number().optional() }),
  expected: z
    .looseObject({
      table: z.array(tableRow).optional(),
      total_variance_of_p0: z.number().optional(),
      argmax_sigma: z.record(z.string(), z.number()).optional(),
    })
    .optional(),
});

const tensorsOf = (entry: Entry): Readonly<Record<string, unknown>> =>
  Object(field(entry, 'tensors')) as Readonly<Record<string, unknown>>;

/** Posteriors of noisy images, level by level. */
export const posteriorFiles: Checker = {
  recognises: (entry) => ['trcov', 'entropy', 'ess', 'source_index'].every((name) => name in tensorsOf(entry)),

  check: async (context) => {
    const { folder, file } = context;
    const { kwargs, tolerance, expected = {} } = entrySchema.parse(file.entry);
    const sigmas = Array.from(file.doubles('sigma'));
    const { points } = kwargs;
    const sources = file.integers('source_index').data;
    const stored = 'images_u8_nhwc' in tensorsOf(file.entry);
    const dataset = stored
      ? storedImages(file, 'images_u8_nhwc')
      : await firstCifarImages(folder, kwargs.n_images ?? Math.max(...sources) + 1);
    const size = sampleSize(dataset);
    const noise = file.find('noise');
    const samples = sigmas.map((sigma, k) =>
      perturbedRows(
        dataset,
        sources.slice(k * points, (k + 1) * points),
        noise
          ? (noise.data as Float32Array).slice(k * points * size, (k + 1) * points * size)
          : hashedNoise(kwargs.t_offset ?? 0, k, points, size),
        sigma,
      ),
    );
    const all = { measured: [] as SampleMeasures[], mean: [] as number[][], weights: [] as Float64Array[] };
    const single: SampleMeasures[] = [];
    for (const precision of ['float64', 'float32'] as const) {
      const posterior = await compileDetailedPosterior(context.runtime, dataset, {
        samples: points,
        block: Math.min(dataset.length, 2048),
        precision,
      });
      for (const [k, sample] of samples.entries()) {
        const values = await posterior.over(sample);
        const measured = sampleMeasures(values, sources.slice(k * points, (k + 1) * points));
        if (precision === 'float32') {
          single.push(...measured);
          continue;
        }
        all.measured.push(...measured);
        for (let s = 0; s < points; s++) {
          all.mean.push(Array.from(values.mean.subarray(s * size, (s + 1) * size)));
          all.weights.push(posteriorWeights(values.logWeights.subarray(s * dataset.length, (s + 1) * dataset.length)));
        }
      }
      await posterior.release();
    }

    const checks: Check[] = [];
    const close = (what: string, actual: readonly number[], wanted: ArrayLike<number>): void =>
      void checks.push(closeCheck(what, actual, wanted, tolerance));
    const roughly = (what: string, actual: readonly number[], wanted: ArrayLike<number>): void =>
      void checks.push(closeCheck(`${what} in float32`, actual, wanted, { rtol: inFloat32, atol: inFloat32 }));
    const measures: readonly [string, (each: SampleMeasures) => number][] = [
      ['trcov', (each) => each.variance],
      ['entropy', (each) => each.entropy],
      ['ess', (each) => each.effectiveSources],
      ['top_weight', (each) => each.largestWeight],
      ['source_weight', (each) => each.sourceWeight],
    ];
    for (const [name, of] of measures) {
      const tensor = file.find(name);
      if (!tensor) continue;
      close(name, all.measured.map(of), numbers(tensor.data));
      roughly(name, single.map(of), numbers(tensor.data));
    }
    if (file.find('top_index')) {
      const wanted = file.integers('top_index').data;
      // Of equal images, which the set has, either may be named.
      const agree = wanted.map(
        (row, i) => all.weights[i][row] === all.measured[i].largestWeight || row === all.measured[i].mostLikely,
      );
      checks.push(same('top_index', agree.every(Boolean), true));
    }
    const squares = (values: ArrayLike<number>, from: number, other: (i: number) => number): number => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += (values[from + i] - other(i)) ** 2;
      return sum;
    };
    const perPoint = (of: (k: number, s: number, p: number) => number): number[] =>
      sigmas.flatMap((_, k) => Array.from({ length: points }, (_, s) => of(k, s, k * points + s)));
    const derived: readonly [string, (k: number, s: number, p: number) => number][] = [
      ['mean_minus_source_sq', (k, s, p) => squares(all.mean[p], 0, (i) => samples[k].clean[s * size + i])],
      ['mean_norm_sq', (_, __, p) => squares(all.mean[p], 0, () => 0)],
      [
        'x_norm_sq',
        (k, s) => squares(samples[k].clean, s * size, (i) => -samples[k].sigma[s] * samples[k].noise[s * size + i]),
      ],
    ];
    for (const [name, of] of derived) {
      const tensor = file.find(name);
      if (tensor) close(name, perPoint(of), numbers(tensor.data));
    }
    const weights = file.find('weights') ?? file.find('weights_first_points');
    if (weights) {
      const shown = weights.shape[1];
      const ours = sigmas.flatMap((_, k) => all.weights.slice(k * points, k * points + shown));
      close(
        'weights',
        ours.flatMap((each) => Array.from(each)),
        numbers(weights.data),
      );
    }
    const means = file.find('posterior_mean_f32');
    if (means)
      checks.push(compare('posterior_mean_f32', all.mean.flat(), means.data, tolerance.posterior_mean_atol ?? 1e-6));

    const levels = sigmas.map((sigma, k) => summarize(sigma, all.measured.slice(k * points, (k + 1) * points)));
    checks.push(...tableChecks(levels, expected, tolerance));
    if (expected.total_variance_of_p0 !== undefined)
      close('total_variance_of_p0', [totalVariance(dataset)], [expected.total_variance_of_p0]);
    return { checks };
  },
};

function tableChecks(
  levels: readonly PhaseLevel[],
  { table, argmax_sigma }: NonNullable<z.infer<typeof entrySchema>['expected']>,
  tolerance: { atol: number; rtol: number },
): Check[] {
  const factor = (form: 'noise' | 'score') => (level: PhaseLevel) =>
    level.variance.mean * varianceFactor(form, level.sigma, 1);
  const columns: Readonly<Record<string, (level: PhaseLevel) => number>> = {
    trcov_mean: (level) => level.variance.mean,
    trcov_se: (level) => level.variance.standardError,
    trcov_over_sigma2: factor('noise'),
    trcov_over_sigma4: factor('score'),
    entropy_mean: (level) => level.entropy.mean,
    ess_mean: (level) => level.effectiveSources.mean,
    ess_median: (level) => level.medianSources,
    source_weight_mean: (level) => level.sourceWeight.mean,
  };
  const checks: Check[] = [];
  if (table) {
    for (const [name, of] of Object.entries(columns)) {
      // At small σ a variance of 1e-30 of theirs is 0 over σ⁴ in a table that rounds.
      const wanted = table.map((row) => row[name] as number);
      checks.push(closeCheck(`table ${name}`, levels.map(of), wanted, tolerance));
    }
  }
  for (const [name, sigma] of Object.entries(argmax_sigma ?? {})) {
    const of = columns[name];
    if (!of) continue;
    const best = levels.reduce((a, b) => (of(b) > of(a) ? b : a));
    checks.push(compare(`argmax_sigma ${name}`, [best.sigma], [sigma], 1e-9 * sigma));
  }
  return checks;
}

/** Sum of the variances of all pixels over the set. */
function totalVariance(dataset: Dataset): number {
  const size = sampleSize(dataset);
  const rows = Array.from({ length: dataset.length }, (_, k) => {
    const row = new Float64Array(size);
    readExactly(dataset, k, row);
    return row;
  });
  const { length } = rows;
  let total = 0;
  for (let i = 0; i < size; i++) total += standardDeviation(rows.map((row) => row[i])) ** 2 * ((length - 1) / length);
  return total;
}

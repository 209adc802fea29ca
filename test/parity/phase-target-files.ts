import { z } from 'zod';
import {
  drawSources,
  float64Sum,
  nestedTargets,
  posteriorWeights,
  readExactly,
  sampleMeasures,
  targetErrors,
} from '../../src/analysis/index.ts';
import type { TargetErrors } from '../../src/analysis/index.ts';
import { sampleSize } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { mean } from '../../src/numerics/statistics.ts';
import { compileDetailedPosterior, compileStreamedMean } from '../../src/objective/index.ts';
import { BadData, closeCheck, compare, largestDifference, makeCheck, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile, ParityFolder } from './folder.ts';
import { hashUniform } from './hash-noise.ts';
import { firstCifarImages, hashedNoise, perturbedRows, storedImages } from './phase-data.ts';
import { allowedOfTarget, largestOf, roundoff } from './tolerance.ts';

/*
 * Stable targets over recorded reference batches: each batch's target against the exact posterior mean, worked out in
 * float64 from the same draws.
 */

const tensorsOf = (entry: Entry): Readonly<Record<string, unknown>> =>
  Object(field(entry, 'tensors')) as Readonly<Record<string, unknown>>;

const entrySchema = z.looseObject({
  kwargs: z.looseObject({
    batches: z.number(),
    points: z.number(),
    n_images: z.number().optional(),
    t_offset_points: z.number().optional(),
    t_offset_draws: z.number().optional(),
  }),
  tolerance: z.looseObject({ rtol: z.number(), atol: z.number() }),
  expected: z
    .looseObject({
      table: z.array(z.looseObject({}).catchall(z.unknown())).optional(),
      max_exact_n2_bias_norm: z.number().optional(),
    })
    .optional(),
});

/** The file of the folder that the points are taken from. */
function pointsFile(folder: ParityFolder, images: 'stored' | number, offset: number | undefined): ParityFile {
  return folder.only('the points', (entry) => {
    const kwargs = Object(field(entry, 'kwargs')) as Record<string, unknown>;
    const tensors = tensorsOf(entry);
    if (!('source_index' in tensors && 'trcov' in tensors)) return false;
    return images === 'stored' ? 'images_u8_nhwc' in tensors : kwargs.t_offset === offset && kwargs.n_images === images;
  });
}

/** Bias and covariance of stable targets by Monte Carlo. */
export const targetErrorFiles: Checker = {
  recognises: (entry) => 'stf_trace' in tensorsOf(entry) && !('means' in tensorsOf(entry)),

  check: async ({ runtime, folder, file }) => {
    const { kwargs, tolerance, expected = {} } = entrySchema.parse(file.entry);
    const { batches, points, n_images, t_offset_points: offset = 0, t_offset_draws: drawOffset = 0 } = kwargs;
    const stored = file.find('ref_index');
    const source = pointsFile(folder, stored ? 'stored' : (n_images ?? NaN), offset);
    const dataset = stored ? storedImages(source, 'images_u8_nhwc') : await firstCifarImages(folder, n_images ?? NaN);
    const size = sampleSize(dataset);
    const sigmas = file.doubles('sigma');
    const sigmaIndex = file.integers('sigma_index').data;
    const sizes = file.integers('n_ref').data;
    const most = sizes[sizes.length - 1];
    const { shape, data: sources } = source.integers('source_index');
    const sourceNoise = source.find('noise');

    const posterior = await compileDetailedPosterior(runtime, dataset, {
      samples: points,
      block: 2048,
      precision: 'float64',
    });
    const sum = float64Sum(dataset);
    const results: Point[] = [];
    for (const [s, sigma] of sigmas.entries()) {
      const k = sigmaIndex[s];
      const rows = sources.slice(k * shape[1], k * shape[1] + points);
      const from = k * shape[1] * size;
      const noise = sourceNoise
        ? (sourceNoise.data as Float32Array).slice(from, from + points * size)
        : hashedNoise(offset, k, points, size);
      const exact = await posterior.over(perturbedRows(dataset, rows, noise, sigma));
      for (let p = 0; p < points; p++) {
        const draws = stored
          ? recordedDraws(numbers(stored.data), (s * points + p) * batches * most, batches, most)
          : hashedDraws(drawOffset + k * points + p, batches, most, dataset.length);
        results.push(
          await errorsAt({
            dataset,
            sum,
            sizes,
            draws,
            logWeights: exact.logWeights.subarray(p * dataset.length, (p + 1) * dataset.length),
            target: exact.mean.subarray(p * size, (p + 1) * size),
            variance: exact.variance[p],
          }),
        );
      }
    }
    await posterior.release();
    const checks = pointChecks(file, results, tolerance);
    if (expected.table) checks.push(...tableChecks(expected.table, results, { points, sizes, tolerance }));
    if (expected.max_exact_n2_bias_norm !== undefined) {
      const largest = Math.max(...results.map(({ pairs }) => pairs().biasNorm));
      checks.push(compare('max_exact_n2_bias_norm', [largest], [expected.max_exact_n2_bias_norm], tolerance.atol));
    }
    return { checks };
  },
};

/** References of each batch: the draw from the posterior by number, or by a uniform number, and the others. */
interface Draws {
  readonly first: readonly number[] | { readonly uniforms: Float64Array };
  /** [batches][n - 1] */
  readonly others: readonly number[][];
}

function recordedDraws(rows: ArrayLike<number>, from: number, batches: number, most: number): Draws {
  const all = Array.from({ length: batches }, (_, b) =>
    Array.from({ length: most }, (_each, j) => rows[from + b * most + j]),
  );
  return { first: all.map(([first]) => first), others: all.map((batch) => batch.slice(1)) };
}

function hashedDraws(t: number, batches: number, most: number, count: number): Draws {
  const at = (b: number, j: number): number => hashUniform(t, b * (most + 1) + j);
  return {
    first: { uniforms: Float64Array.from({ length: batches }, (_, b) => at(b, 0)) },
    others: Array.from({ length: batches }, (_, b) =>
      Array.from({ length: most - 1 }, (_each, j) => Math.floor(count * at(b, j + 1))),
    ),
  };
}

interface Point {
  readonly errors: readonly (TargetErrors & { readonly effective: number })[];
  readonly first: readonly number[];
  readonly others: readonly number[][];
  readonly variance: number;
  readonly asymptote: number;
  readonly effectiveSources: number;
  /** All batches of two, enumerated. */
  readonly pairs: () => { biasNorm: number; trace: number };
}

async function errorsAt({
  dataset,
  sum,
  sizes,
  draws,
  logWeights,
  target,
  variance,
}: {
  dataset: Dataset;
  sum: ReturnType<typeof float64Sum>;
  sizes: readonly number[];
  draws: Draws;
  logWeights: Float64Array | Float32Array;
  target: Float64Array;
  variance: number;
}): Promise<Point> {
  const size = target.length;
  const first = 'uniforms' in draws.first ? Array.from(drawSources(logWeights, draws.first.uniforms)) : draws.first;
  const targets = sizes.map(() => new Float64Array(first.length * size));
  const effective = sizes.map(() => 0);
  const values = new Float64Array(size);
  for (const [b, row] of first.entries()) {
    readExactly(dataset, row, values);
    const { withSource } = await nestedTargets(
      sum,
      {
        first: { values, logWeights: [logWeights[row]] },
        // The first shared row takes part only where there is no source.
        rows: [0, ...draws.others[b]],
        logWeight: (_, other) => logWeights[other],
      },
      sizes,
    );
    withSource.forEach((each, n) => {
      targets[n].set(each.targets, b * size);
      effective[n] += each.effective[0] / first.length;
    });
  }
  const [{ effectiveSources }] = sampleMeasures({ logWeights, variance: Float64Array.of(variance) }, [0]);
  const weights = posteriorWeights(logWeights);
  const rows = Array.from({ length: dataset.length }, (_, k) => k);
  // N Σ w² |y - m|², by its definition.
  let asymptote = 0;
  const row = new Float64Array(size);
  for (const k of rows) {
    readExactly(dataset, k, row);
    let distance = 0;
    for (let i = 0; i < size; i++) distance += (row[i] - target[i]) ** 2;
    asymptote += dataset.length * weights[k] ** 2 * distance;
  }
  return {
    errors: targets.map((each, n) => ({ ...targetErrors(each, target), effective: effective[n] })),
    first,
    others: draws.others,
    variance,
    asymptote,
    effectiveSources,
    pairs: () => enumeratePairs(dataset, weights, target),
  };
}

/** Mean and covariance of the target over batches of two: the first from the posterior, the other uniform. */
function enumeratePairs(
  dataset: Dataset,
  weights: Float64Array,
  target: Float64Array,
): { biasNorm: number; trace: number } {
  const size = target.length;
  const count = dataset.length;
  const gaps = Array.from({ length: count }, (_, k) => {
    const row = new Float64Array(size);
    readExactly(dataset, k, row);
    return row.map((value, i) => value - target[i]);
  });
  // Squares of target - exact mean need only inner products of the gaps.
  const products = gaps.map((a) => gaps.map((b) => a.reduce((total, value, i) => total + value * b[i], 0)));
  const shares = new Float64Array(count);
  let meanSquare = 0;
  for (let j = 0; j < count; j++) {
    for (let k = 0; k < count; k++) {
      const probability = weights[j] / count;
      const total = weights[j] + weights[k];
      const a = total > 0 ? weights[j] / total : 0.5;
      shares[j] += probability * a;
      shares[k] += probability * (1 - a);
      meanSquare +=
        probability * (a * a * products[j][j] + 2 * a * (1 - a) * products[j][k] + (1 - a) ** 2 * products[k][k]);
    }
  }
  const bias = new Float64Array(size);
  gaps.forEach((gap, k) => gap.forEach((value, i) => (bias[i] += shares[k] * value)));
  const square = bias.reduce((total, each) => total + each * each, 0);
  return { biasNorm: Math.sqrt(square), trace: meanSquare - square };
}

const columns = {
  stf_trace: 'trace',
  stf_trace_se: 'traceError',
  stf_bias_norm: 'biasNorm',
  stf_bias_sq_debiased: 'biasSquared',
  stf_bias_sq_se: 'biasSquaredError',
  stf_mse: 'meanSquare',
  stf_mse_se: 'meanSquareError',
  stf_batch_ess: 'effective',
} as const;

function pointChecks(file: ParityFile, points: readonly Point[], tolerance: { atol: number; rtol: number }): Check[] {
  const checks: Check[] = [];
  const close = (name: string, actual: readonly number[]): void => {
    const tensor = file.find(name);
    if (tensor) checks.push(closeCheck(name, actual, numbers(tensor.data), tolerance));
  };
  for (const [name, column] of Object.entries(columns))
    close(
      name,
      points.flatMap(({ errors }) => errors.map((each) => each[column])),
    );
  close(
    'dsm_trcov',
    points.map(({ variance }) => variance),
  );
  close(
    'asymptotic_n_times_trace',
    points.map(({ asymptote }) => asymptote),
  );
  if (file.find('x1_index'))
    checks.push(
      same(
        'x1_index',
        points.flatMap(({ first }) => first),
        file.integers('x1_index').data,
      ),
    );
  if (file.find('ref_index_first_two_batches')) {
    const { shape, data } = file.integers('ref_index_first_two_batches');
    const shown = points.flatMap(({ others }) => others.slice(0, shape[2]).flatMap((each) => each.slice(0, shape[3])));
    checks.push(same('ref_index_first_two_batches', shown, data));
  }
  if (file.find('exact_n2_trace')) {
    const pairs = points.map((point) => point.pairs());
    close(
      'exact_n2_trace',
      pairs.map(({ trace }) => trace),
    );
    close(
      'exact_n2_bias_norm',
      pairs.map(({ biasNorm }) => biasNorm),
    );
  }
  return checks;
}

/** Means over the points of each noise level. */
function tableChecks(
  table: readonly Readonly<Record<string, unknown>>[],
  points: readonly Point[],
  {
    points: perLevel,
    sizes,
    tolerance,
  }: { points: number; sizes: readonly number[]; tolerance: { atol: number; rtol: number } },
): Check[] {
  const wanted: Record<string, number[]> = {};
  const ours: Record<string, number[]> = {};
  const add = (name: string, expected: unknown, actual: number): void => {
    if (typeof expected !== 'number') throw new BadData(`table: "${name}" is ${String(expected)}, not a number`);
    (wanted[name] ??= []).push(expected);
    (ours[name] ??= []).push(actual);
  };
  table.forEach((row, s) => {
    const level = points.slice(s * perLevel, (s + 1) * perLevel);
    add('trcov_dsm', row.trcov_dsm_mean_over_points, mean(level.map(({ variance }) => variance)));
    add('ess', row.ess_mean_over_points, mean(level.map(({ effectiveSources }) => effectiveSources)));
    sizes.forEach((n, i) => {
      const cells = Object(row[`n${n}`]) as Record<string, unknown>;
      for (const [name, column] of Object.entries(columns)) {
        const cell = name.replace('stf_', '');
        if (cell in cells) add(cell, cells[cell], mean(level.map(({ errors }) => errors[i][column])));
      }
    });
  });
  return Object.keys(wanted).map((name) => closeCheck(`table ${name}`, ours[name], wanted[name], tolerance));
}

const targetSchema = z.looseObject({
  tolerance: z.looseObject({ atol_f64: z.number(), measured_f32_minus_f64: z.number() }),
});

/** Targets of a mini-batch whose images are the first of the references. */
export const storedTargetFiles: Checker = {
  recognises: (entry) => ['targets', 'noise', 'sigma', 'images_u8_nhwc'].every((name) => name in tensorsOf(entry)),

  check: async ({ runtime, file }) => {
    const { tolerance } = targetSchema.parse(file.entry);
    const dataset = storedImages(file, 'images_u8_nhwc');
    const sigma = file.doubles('sigma');
    const noise = file.floats('noise').data;
    const rows = Array.from(sigma, (_, b) => b);
    const size = sampleSize(dataset);
    const clean = perturbedRows(dataset, rows, noise, 1).clean;
    const checks: Check[] = [];
    for (const precision of ['float64', 'float32'] as const) {
      const means = await compileStreamedMean(runtime, dataset, {
        samples: rows.length,
        block: dataset.length,
        precision,
      });
      const ours = await means.over({ clean, noise: Float64Array.from(noise), sigma: Float64Array.from(sigma) });
      await means.release();
      if (ours.length !== rows.length * size) throw new BadData(`${ours.length} values of targets`);
      if (precision === 'float64') checks.push(compare('targets', ours, file.get('targets').data, tolerance.atol_f64));
      else {
        const single = file.floats('targets_f32_run').data;
        // D is that of the float64 targets, and those of the file are rounded to float32.
        const measured = tolerance.measured_f32_minus_f64 + roundoff * largestOf(single);
        checks.push(
          compare(
            'targets in float32',
            ours,
            file.get('targets').data,
            allowedOfTarget(measured, largestOf(ours), 'float64'),
          ),
          compare('targets_f32_run', ours, single, allowedOfTarget(measured, largestOf(ours), 'float32')),
          makeCheck(
            'float32 run of the reference',
            largestDifference(single, file.floats('targets').data),
            1,
            measured,
          ),
        );
      }
    }
    return { checks };
  },
};

import { z } from 'zod';
import { float64Sum, mixtureLevel, mixturePosterior, nestedTargets, targetErrors } from '../../src/analysis/index.ts';
import type { TargetErrors, TwoGaussians } from '../../src/analysis/index.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { fillNormal, fillUniform, streams } from '../../src/numerics/random.ts';
import { BadData, closeCheck, compare, makeCheck, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';

/*
 * Two Gaussians: everything about the posterior has a closed form, and stable targets are compared by statistics, since the
 * draws are not recorded.
 */

const tensorsOf = (entry: Entry): Readonly<Record<string, unknown>> =>
  Object(field(entry, 'tensors')) as Readonly<Record<string, unknown>>;

const entrySchema = z.looseObject({
  kwargs: z.looseObject({
    d: z.number(),
    mean_distance: z.number().optional(),
    std: z.number().optional(),
    pi: z.array(z.number()).optional(),
    stf_batches: z.number(),
    stf_points: z.number(),
  }),
  tolerance: z.looseObject({ rtol: z.number(), atol: z.number(), stf: z.string() }),
  expected: z.record(z.string(), z.number()).optional(),
});

/** Combined standard errors that a Monte-Carlo value may be off by, as the manifest's tolerance says in words. */
function allowedErrors(words: string): number {
  const found = /within (\d+(?:\.\d+)?) combined standard errors/.exec(words);
  if (!found) throw new BadData(`tolerance "${words}" does not say how many combined standard errors are allowed`);
  return Number(found[1]);
}

/**
 * An unbiased estimate of a squared bias of 0 is T / B (c - 1), with c at most a χ² number of one degree of freedom, T the
 * trace and B the batches: above 30 once in 2e7.
 */
const mostOfBias = 30;

export const twoGaussiansFiles: Checker = {
  recognises: (entry) =>
    ['means', 'std', 'responsibility', 'expected_trcov', 'stf_trace'].every((name) => name in tensorsOf(entry)),

  check: async ({ file }) => {
    const { kwargs, tolerance, expected = {} } = entrySchema.parse(file.entry);
    const mixture: TwoGaussians = {
      means: file.doubles('means'),
      weights: file.doubles('weights'),
      deviation: file.doubles('std')[0],
    };
    const sigmas = Array.from(file.doubles('sigma'));
    const x = file.doubles('x_t');
    const [, points] = file.get('x_t').shape;
    const d = mixture.means.length / mixture.weights.length;
    const sample = (level: number, point: number): Float64Array =>
      x.subarray((level * points + point) * d, (level * points + point + 1) * d);
    const posteriors = sigmas.flatMap((sigma, k) =>
      Array.from({ length: points }, (_, p) => mixturePosterior(mixture, sample(k, p), sigma)),
    );
    const levels = sigmas.map((sigma) => mixtureLevel(mixture, sigma));
    const close = (name: string, ours: readonly number[]): Check =>
      closeCheck(name, ours, numbers(file.get(name).data), tolerance);
    const checks: Check[] = [
      close(
        'responsibility',
        posteriors.flatMap((each) => [...each.responsibilities]),
      ),
      close(
        'posterior_mean',
        posteriors.flatMap((each) => [...each.mean]),
      ),
      close(
        'trcov',
        posteriors.map((each) => each.variance),
      ),
      close(
        'expected_trcov',
        levels.map((each) => each.variance),
      ),
      close(
        'expected_trcov_between',
        levels.map((each) => each.between),
      ),
      close(
        'expected_component_entropy',
        levels.map((each) => each.entropy),
      ),
      close(
        'expected_component_ess',
        levels.map((each) => each.effectiveComponents),
      ),
      same('d', d, kwargs.d),
      compare('std', [mixture.deviation], [kwargs.std ?? mixture.deviation], 0),
      compare('pi', Array.from(mixture.weights), kwargs.pi ?? mixture.weights, 1e-12),
      ...summaryChecks(levels, expected),
      ...(await targetChecks(file, mixture, {
        sigmas,
        sample,
        points: kwargs.stf_points,
        batches: kwargs.stf_batches,
        mostErrors: allowedErrors(tolerance.stf),
      })),
    ];
    if (kwargs.mean_distance !== undefined)
      checks.push(
        compare('mean_distance', [distanceOf(mixture)], [kwargs.mean_distance], 1e-12 * kwargs.mean_distance),
      );
    return { checks };
  },
};

function distanceOf({ means }: TwoGaussians): number {
  const d = means.length / 2;
  return Math.hypot(...Array.from({ length: d }, (_, i) => means[i] - means[d + i]));
}

/** Where the variances are largest, on the file's grid; what else is expected are statistics of the reference's own draws. */
function summaryChecks(
  levels: readonly ReturnType<typeof mixtureLevel>[],
  expected: Readonly<Record<string, number>>,
): Check[] {
  const curves: Readonly<Record<string, (level: (typeof levels)[number]) => number>> = {
    argmax_sigma_trcov_over_sigma2: ({ variance, sigma }) => variance / sigma ** 2,
    argmax_sigma_between_over_sigma2: ({ between, sigma }) => between / sigma ** 2,
    argmax_sigma_between_over_sigma4: ({ between, sigma }) => between / sigma ** 4,
  };
  return Object.entries(curves)
    .filter(([name]) => Object.hasOwn(expected, name))
    .map(([name, of]) => {
      const best = levels.reduce((a, b) => (of(b) > of(a) ? b : a));
      return compare(name, [best.sigma], [expected[name]], 1e-9 * expected[name]);
    });
}

interface Setting {
  readonly sigmas: readonly number[];
  readonly sample: (level: number, point: number) => Float64Array;
  readonly points: number;
  readonly batches: number;
  /** Combined standard errors. */
  readonly mostErrors: number;
}

async function targetChecks(file: ParityFile, mixture: TwoGaussians, setting: Setting): Promise<Check[]> {
  const { sigmas, sample, points, batches, mostErrors } = setting;
  const sizes = file.integers('stf_n_ref').data;
  const indices = file.integers('stf_sigma_index').data;
  const values = (name: string): Float64Array => file.doubles(name);
  const ours: TargetErrors[] = [];
  for (const k of indices)
    ours.push(
      ...(await errorsAt(mixture, {
        x: Array.from({ length: points }, (_, p) => sample(k, p)),
        sigma: sigmas[k],
        level: k,
        sizes,
        batches,
      })),
    );
  const [trace, traceError] = [values('stf_trace'), values('stf_trace_se')];
  const [square, squareError] = [values('stf_mse'), values('stf_mse_se')];
  const [norm, debiased] = [values('stf_bias_norm'), values('stf_bias_sq_debiased')];
  const within = (what: string, off: (i: number) => number, limit: number): Check =>
    makeCheck(what, Math.max(...ours.map((_, i) => off(i))), 1, limit);
  return [
    within(
      'stf_trace (standard errors)',
      (i) => Math.abs(ours[i].trace - trace[i]) / Math.hypot(ours[i].traceError, traceError[i]),
      mostErrors,
    ),
    within(
      'stf_mse (standard errors)',
      (i) => Math.abs(ours[i].meanSquare - square[i]) / Math.hypot(ours[i].meanSquareError, squareError[i]),
      mostErrors,
    ),
    within(
      'our bias (over trace / batches)',
      (i) => (Math.abs(ours[i].biasSquared) * batches) / ours[i].trace,
      mostOfBias,
    ),
    within(
      'stf_bias_sq_debiased (over trace / batches)',
      (i) => (Math.abs(debiased[i]) * batches) / trace[i],
      mostOfBias,
    ),
    // What the file's own numbers must satisfy: |bias|² - trace / B, and mean square = trace (B - 1) / B + |bias|².
    closeCheck(
      'stf_bias_norm',
      Array.from(debiased, (each, i) => Math.sqrt(each + trace[i] / batches)),
      norm,
      { rtol: 1e-9, atol: 1e-12 },
    ),
    closeCheck(
      'stf_mse of stf_trace',
      Array.from(trace, (each, i) => (each * (batches - 1)) / batches + norm[i] ** 2),
      square,
      { rtol: 1e-9, atol: 1e-12 },
    ),
  ];
}

/** Stable targets over fresh draws from the mixture; the points share all but their first references. */
async function errorsAt(
  mixture: TwoGaussians,
  {
    x,
    sigma,
    level,
    sizes,
    batches,
  }: {
    x: readonly Float64Array[];
    sigma: number;
    level: number;
    sizes: readonly number[];
    batches: number;
  },
): Promise<TargetErrors[]> {
  const d = x[0].length;
  const most = sizes[sizes.length - 1];
  const rows = Array.from({ length: most }, (_, j) => j);
  const values = new Float32Array(most * d);
  const dataset = memoryDataset({ name: 'references', data: values, sampleShape: [d] });
  const sum = float64Sum(dataset);
  const posteriors = x.map((each) => mixturePosterior(mixture, each, sigma));
  const targets = sizes.map(() => x.map(() => new Float64Array(batches * d)));
  const first = new Float64Array(x.length * d);
  const { means, weights, deviation } = mixture;
  const kept = deviation ** 2 / (deviation ** 2 + sigma ** 2);
  const uniform = new Float64Array(most + x.length);
  const normal = new Float64Array((most + x.length) * d);
  for (let b = 0; b < batches; b++) {
    fillUniform(uniform, { seed: 0, stream: streams.references, step: level, sample: b });
    fillNormal(normal, { seed: 0, stream: streams.noise, step: level, sample: b });
    for (let j = 0; j < most; j++) {
      const component = uniform[j] < weights[0] ? 0 : 1;
      for (let i = 0; i < d; i++) values[j * d + i] = means[component * d + i] + deviation * normal[j * d + i];
    }
    x.forEach((each, p) => {
      const component = uniform[most + p] < posteriors[p].responsibilities[0] ? 0 : 1;
      for (let i = 0; i < d; i++) {
        const centre = means[component * d + i];
        const spread = Math.sqrt(kept) * sigma * normal[(most + p) * d + i];
        first[p * d + i] = centre + kept * (each[i] - centre) + spread;
      }
    });
    const logWeight = (p: number, at: (i: number) => number): number => {
      let squares = 0;
      for (let i = 0; i < d; i++) squares += (x[p][i] - at(i)) ** 2;
      return -squares / (2 * sigma ** 2);
    };
    const { withSource } = await nestedTargets(
      sum,
      {
        first: { values: first, logWeights: x.map((_, p) => logWeight(p, (i) => first[p * d + i])) },
        rows,
        logWeight: (p, row) => logWeight(p, (i) => values[row * d + i]),
      },
      sizes,
    );
    withSource.forEach((each, n) =>
      targets[n].forEach((all, p) => all.set(each.targets.subarray(p * d, (p + 1) * d), b * d)),
    );
  }
  return x.flatMap((_, p) => sizes.map((_size, n) => targetErrors(targets[n][p], posteriors[p].mean)));
}

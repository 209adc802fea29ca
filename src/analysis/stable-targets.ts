import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { UsageError } from '../errors.ts';
import { fillUniform, streams } from '../numerics/random.ts';
import { mean } from '../numerics/statistics.ts';
import { compileDetailedPosterior } from '../objective/index.ts';
import type { DetailedPosterior, DetailedPosteriorValues } from '../objective/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { engineSum, nestedTargets, readExactly } from './nested-targets.ts';
import type { WeightedSum } from './nested-targets.ts';
import { drawNoisySamples } from './noisy-samples.ts';
import type { DrawnSamples } from './noisy-samples.ts';
import { estimateOf, requireRising, sampleMeasures, summarize } from './phases.ts';
import type { Estimate, PhaseLevel } from './phases.ts';
import { drawSources } from './posterior-draws.ts';
import { fitPowerLaw } from './power-law.ts';
import type { PowerLaw } from './power-law.ts';
import { targetErrors } from './target-errors.ts';
import type { TargetErrors } from './target-errors.ts';

/** Errors of the stable target over n references at one noise level, squared data units summed over elements. */
export interface SizeErrors {
  readonly references: number;
  /** Trace of the covariance given the noisy sample, mean over noisy samples. */
  readonly trace: Estimate;
  /** Squared bias against the exact posterior mean; unbiased, so it may be negative. */
  readonly biasSquared: Estimate;
  /** Mean squared distance from the exact posterior mean. */
  readonly meanSquare: Estimate;
  /** Effective number of references, mean. */
  readonly effective: number;
}

/** The two sides of the inequality of traces at one noise level, for large n; see `traceInequality`. */
export interface TraceInequality {
  /** Limit of n · trace. */
  readonly asymptote: Estimate;
  /** Variance of the DSM target. */
  readonly variance: Estimate;
  /** What is added to it in the bound. */
  readonly divergenceTerm: Estimate;
}

export interface TargetLevel {
  readonly sigma: number;
  readonly posterior: PhaseLevel;
  readonly withSource: readonly SizeErrors[];
  readonly withoutSource: readonly SizeErrors[];
  readonly inequality: TraceInequality;
  /** Power law through the traces with the source, over the largest sizes; null where the trace is nil. */
  readonly slope: PowerLaw | null;
}

export interface TargetAnalysis {
  readonly levels: readonly TargetLevel[];
  readonly sizes: readonly number[];
  /** The sizes that the slopes were fitted over. */
  readonly fitted: readonly number[];
  readonly sources: number;
}

export interface TargetOptions {
  readonly sigmas: readonly number[];
  /** Sizes of the reference batch, rising from at least 1. */
  readonly sizes: readonly number[];
  /** Noisy samples a level, at least 2. */
  readonly images: number;
  /** Reference batches a noisy sample, at least 3. */
  readonly batches: number;
  readonly seed: number;
  /** Is told how many reference batches are done; may throw to stop. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Noisy samples that share reference batches. */
const sharing = 8;

/** Slopes are fitted over sizes from a 64th of the largest on, where the law of large n may hold. */
const fittedRange = 64;

/** Variances and squared biases below this, in squared data units over all elements, are rounding of float32. */
export const nilVariance = 1e-6;

/**
 * Bias and covariance of the stable target against the exact posterior mean over the whole data set (Xu et al. 2023, Sect. 4
 * and theorem 2), with and without the source among the references. Given a noisy sample the source is drawn from the
 * posterior, the other references uniformly with replacement. Batches of all sizes share their draws, and up to eight noisy
 * samples share batches, which standard errors allow for.
 *
 * @throws UsageError for an impossible option
 */
export async function analyzeTargets(
  runtime: Runtime,
  dataset: Dataset,
  options: TargetOptions,
): Promise<TargetAnalysis> {
  const { sigmas, sizes, images, batches, seed, onProgress } = options;
  requireRising(sigmas);
  requireSizes(options);
  const group = Math.min(images, sharing);
  const block = Math.min(dataset.length, 2048);
  const posterior = await compileDetailedPosterior(runtime, dataset, { samples: images, block });
  const sum = await engineSum(runtime, dataset, { samples: group, block: Math.min(sizes[sizes.length - 1], 2048) });
  const fitted = sizes.filter((size) => size >= sizes[sizes.length - 1] / fittedRange);
  const groups = Math.ceil(images / group);
  const levels: TargetLevel[] = [];
  try {
    for (const [index, sigma] of sigmas.entries()) {
      const samples = drawNoisySamples(dataset, { sigma, level: index, count: images, seed });
      const exact = await posterior.over(samples);
      const points: PointErrors[] = [];
      for (let g = 0; g < groups; g++) {
        const members = range(g * group, Math.min(images, (g + 1) * group));
        const address = { seed, step: index, groupStart: g * batches };
        points.push(
          ...(await errorsOfGroup({ sum, dataset, exact, members, sizes, batches, address }, (done) =>
            onProgress?.((index * groups + g) * batches + done, sigmas.length * groups * batches),
          )),
        );
      }
      levels.push({
        sigma,
        posterior: summarize(sigma, sampleMeasures(exact, samples.sources)),
        withSource: sizesOf(sizes, points, groups, 'withSource'),
        withoutSource: sizesOf(sizes, points, groups, 'withoutSource'),
        inequality: await inequalityOf(posterior, samples, exact),
        slope: slopeOf(points, sizes, fitted),
      });
    }
  } finally {
    await posterior.release();
    await sum.release();
  }
  return { levels, sizes, fitted, sources: dataset.length };
}

function requireSizes({ sizes, images, batches }: TargetOptions): void {
  const isRising = sizes.every((size, i) => Number.isInteger(size) && size > (i === 0 ? 0 : sizes[i - 1]));
  if (sizes.length === 0 || !isRising)
    throw new UsageError(
      `analyzeTargets: sizes must be whole numbers that rise from at least 1, got ${sizes.join(', ')}.`,
    );
  if (!(images >= 2)) throw new UsageError(`analyzeTargets: images must be at least 2, got ${images}.`);
  if (!(batches >= 3)) throw new UsageError(`analyzeTargets: batches must be at least 3, got ${batches}.`);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const kinds = ['withSource', 'withoutSource'] as const;
type Kind = (typeof kinds)[number];

/** Errors at one noisy sample for each size. */
type PointErrors = Readonly<Record<Kind, readonly (TargetErrors & { effective: number })[]>>;

interface Group {
  readonly sum: WeightedSum;
  readonly dataset: Dataset;
  readonly exact: DetailedPosteriorValues;
  /** Numbers of the noisy samples. */
  readonly members: readonly number[];
  readonly sizes: readonly number[];
  readonly batches: number;
  readonly address: { readonly seed: number; readonly step: number; readonly groupStart: number };
}

async function errorsOfGroup(
  { sum, dataset, exact, members, sizes, batches, address }: Group,
  onBatch: (done: number) => void,
): Promise<PointErrors[]> {
  const { seed, step, groupStart } = address;
  const size = sampleSize(dataset);
  const count = dataset.length;
  const rowOf = (sample: number) => exact.logWeights.subarray(sample * count, (sample + 1) * count);
  const own = members.map((sample) => {
    const uniforms = new Float64Array(batches);
    fillUniform(uniforms, { seed, stream: streams.probeReferences, step, sample });
    return drawSources(rowOf(sample), uniforms);
  });
  const most = sizes[sizes.length - 1];
  const uniforms = new Float64Array(most);
  const store = () => sizes.map(() => members.map(() => new Float32Array(batches * size)));
  const drawn = { withSource: store(), withoutSource: store() };
  const effective = {
    withSource: sizes.map(() => members.map(() => 0)),
    withoutSource: sizes.map(() => members.map(() => 0)),
  };
  const values = new Float64Array(members.length * size);
  for (let b = 0; b < batches; b++) {
    fillUniform(uniforms, { seed, stream: streams.references, step, sample: groupStart + b });
    const rows = Uint32Array.from(uniforms, (u) => Math.floor(u * count));
    own.forEach((sources, m) => readExactly(dataset, sources[b], values.subarray(m * size, (m + 1) * size)));
    const results = await nestedTargets(
      sum,
      {
        first: { values, logWeights: members.map((sample, m) => exact.logWeights[sample * count + own[m][b]]) },
        rows,
        logWeight: (m, row) => exact.logWeights[members[m] * count + row],
      },
      sizes,
    );
    for (const kind of kinds) {
      results[kind].forEach((each, n) =>
        members.forEach((_, m) => {
          drawn[kind][n][m].set(each.targets.subarray(m * size, (m + 1) * size), b * size);
          effective[kind][n][m] += each.effective[m] / batches;
        }),
      );
    }
    onBatch(b + 1);
  }
  return members.map((sample, m) => {
    const target = exact.mean.subarray(sample * size, (sample + 1) * size);
    const of = (kind: Kind) =>
      sizes.map((_, n) => ({ ...targetErrors(drawn[kind][n][m], target), effective: effective[kind][n][m] }));
    return { withSource: of('withSource'), withoutSource: of('withoutSource') };
  });
}

/**
 * Means over noisy samples. The squared standard error is that of the spread between noisy samples, plus that of the draws
 * as if all samples of a group had the same ones: too large rather than too small.
 */
function sizesOf(sizes: readonly number[], points: readonly PointErrors[], groups: number, kind: Kind): SizeErrors[] {
  const estimate = (n: number, value: keyof TargetErrors, error: keyof TargetErrors): Estimate => {
    const between = estimateOf(points.map((point) => point[kind][n][value]));
    const ofDraws = mean(points.map((point) => point[kind][n][error])) / Math.sqrt(groups);
    return { mean: between.mean, standardError: Math.hypot(between.standardError, ofDraws) };
  };
  return sizes.map((references, n) => ({
    references,
    trace: estimate(n, 'trace', 'traceError'),
    biasSquared: estimate(n, 'biasSquared', 'biasSquaredError'),
    meanSquare: estimate(n, 'meanSquare', 'meanSquareError'),
    effective: mean(points.map((point) => point[kind][n].effective)),
  }));
}

function slopeOf(points: readonly PointErrors[], sizes: readonly number[], fitted: readonly number[]): PowerLaw | null {
  if (fitted.length < 2) return null;
  const traces = points.map((point) => fitted.map((size) => point.withSource[sizes.indexOf(size)].trace));
  const means = fitted.map((_, i) => mean(traces.map((each) => each[i])));
  return Math.min(...means) > nilVariance ? fitPowerLaw(fitted, traces) : null;
}

/**
 * The two sides of the inequality of traces. For many references the delta method gives
 *
 *   n · Tr Cov → N Σ w² |y - m|² = Σ w |y - m|² + Σ w (N w - 1) |y - m|²,
 *
 * and the inequality of Cauchy and Schwarz bounds the last sum by √(Σ w (N w - 1)²) √(Σ w |y - m|⁴): the variance of the DSM
 * target, plus a term that grows with a divergence between posterior and prior. Xu et al. 2023 state theirs in this form,
 * with √d / σ² and a constant of their own in place of the fourth moment.
 */
async function inequalityOf(
  posterior: DetailedPosterior,
  samples: DrawnSamples,
  exact: DetailedPosteriorValues,
): Promise<TraceInequality> {
  const { noise, sigma } = samples;
  const count = exact.logWeights.length / sigma.length;
  const size = noise.length / sigma.length;
  // w² is proportional to the posterior at σ/√2 of the same noisy sample, x = source + (σ/√2) (√2 z).
  const squared = await posterior.over({
    clean: samples.clean,
    noise: noise.map((z) => Math.SQRT2 * z),
    sigma: sigma.map((each) => each * Math.SQRT1_2),
  });
  // With σ = 1 and no noise the log-weights are -|y - m|² / 2.
  const about = await posterior.over({
    clean: Float32Array.from(exact.mean),
    noise: new Float32Array(noise.length),
    sigma: new Float32Array(sigma.length).fill(1),
  });
  const measures = sampleMeasures(exact, new Uint32Array(sigma.length));
  const asymptotes: number[] = [];
  const terms: number[] = [];
  for (const [s, { effectiveSources, squaredExcess, largestWeight, mostLikely }] of measures.entries()) {
    let shift = 0;
    for (let i = s * size; i < (s + 1) * size; i++) shift += (squared.mean[i] - exact.mean[i]) ** 2;
    asymptotes.push((count / effectiveSources) * (squared.variance[s] + shift));
    let fourth = 0;
    const largest = exact.logWeights[s * count + mostLikely];
    for (let k = s * count; k < (s + 1) * count; k++)
      fourth += largestWeight * Math.exp(exact.logWeights[k] - largest) * (2 * about.logWeights[k]) ** 2;
    terms.push(Math.sqrt(squaredExcess * fourth));
  }
  return {
    asymptote: estimateOf(asymptotes),
    variance: estimateOf(exact.variance),
    divergenceTerm: estimateOf(terms),
  };
}

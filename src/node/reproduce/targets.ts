import { analyzeTargets, phaseBorders, phaseOf } from '../../analysis/index.ts';
import type { Phase, SizeErrors, TargetAnalysis } from '../../analysis/index.ts';
import type { Table } from '../../report/table.ts';
import { loadClaimData } from './claim-data.ts';
import type { ClaimData } from './claim-data.ts';
import { ClaimStopped } from './claim.ts';
import type { ClaimContext } from './claim.ts';

/** What the claims on the stable target itself measure. */
export interface TargetSettings {
  readonly data: ClaimData;
  readonly sigmas: readonly number[];
  /** Sizes of the reference batch. */
  readonly sizes: readonly number[];
  /** Noisy images a level, and reference batches for each. */
  readonly images: number;
  readonly batches: number;
  readonly seed: number;
}

/** Settings by scale; on CIFAR-10 the smallest level is near, the largest far. */
export const targetSettings: Readonly<Record<'smoke' | 'small' | 'paper', TargetSettings>> = {
  smoke: {
    data: { kind: 'planes', side: 4, length: 200 },
    ...{ sigmas: [0.1, 0.5, 5], sizes: [1, 8, 64], images: 8, batches: 4, seed: 0 },
  },
  small: {
    data: { kind: 'cifar10', side: 32 },
    ...{ sigmas: [2, 5, 8, 15, 30, 80], sizes: [1, 4, 16, 64, 256, 1024, 4096], images: 32, batches: 16, seed: 0 },
  },
  paper: {
    data: { kind: 'cifar10', side: 32 },
    sigmas: [1, 2, 3, 4, 5, 6.5, 8, 11, 15, 25, 40, 80],
    ...{ sizes: [1, 4, 16, 64, 256, 1024, 4096, 16_384], images: 128, batches: 64, seed: 0 },
  },
};

/** Measures bias and covariance of the stable target. */
export async function measureTargets(settings: TargetSettings, context: ClaimContext): Promise<TargetAnalysis> {
  const { data, ...options } = settings;
  const { train } = await loadClaimData(data);
  let update: ((done: number) => void) | undefined;
  return analyzeTargets(context.runtime, train, {
    ...options,
    onProgress: (done, total) => {
      update ??= context.begin({ unit: 'reference batches', total });
      update(done);
      if (context.signal.aborted) throw new ClaimStopped('nothing was written: it takes minutes, and starts over');
    },
  });
}

/** Phases of the levels, by their own grid. */
export function phasesOf({ levels }: TargetAnalysis): Phase[] {
  const posteriors = levels.map(({ posterior }) => posterior);
  const borders = phaseBorders(posteriors);
  return posteriors.map((level) => phaseOf(level.sigma, borders, posteriors));
}

/** Errors by noise level and size, relative to the variance of the DSM target at that level. */
export function targetTable(analysis: TargetAnalysis): Table {
  const found = phasesOf(analysis);
  const relative = (errors: SizeErrors, variance: number) => ({
    trace: errors.trace.mean / variance,
    traceError: errors.trace.standardError / variance,
    bias: errors.biasSquared.mean / variance,
    biasError: errors.biasSquared.standardError / variance,
  });
  return {
    columns: [
      { key: 'level', heading: 'noise level' },
      { key: 'sigma', heading: 'σ' },
      { key: 'phase', heading: 'phase' },
      { key: 'references', heading: 'references n' },
      { key: 'variance', heading: 'variance of the DSM target' },
      { key: 'trace', heading: 'Tr Cov of the stable target / that of DSM' },
      { key: 'traceError', heading: '± s.e.' },
      { key: 'bias', heading: 'bias² / variance of DSM' },
      { key: 'biasError', heading: '± s.e.' },
      { key: 'traceWithout', heading: 'without the source: Tr Cov' },
      { key: 'traceWithoutError', heading: '± s.e.' },
      { key: 'biasWithout', heading: 'bias²' },
      { key: 'biasWithoutError', heading: '± s.e.' },
    ],
    rows: analysis.levels.flatMap(({ sigma, posterior, withSource, withoutSource }, l) =>
      withSource.map((errors, k) => {
        const variance = posterior.variance.mean;
        const without = relative(withoutSource[k], variance);
        return {
          ...{ level: `σ = ${sigma} (${found[l]})`, sigma, phase: found[l], references: errors.references, variance },
          ...relative(errors, variance),
          traceWithout: without.trace,
          traceWithoutError: without.traceError,
          biasWithout: without.bias,
          biasWithoutError: without.biasError,
        };
      }),
    ),
  };
}

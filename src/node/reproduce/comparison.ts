import { mean, standardError } from '../../numerics/statistics.ts';
import type { Table } from '../../report/table.ts';
import type { FinishedRun } from './training-curves.ts';

/** Quantiles 0.975 of Student's t for 1, 2, ... degrees of freedom. */
const studentT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** A mean with its standard error and its 95 % confidence interval by Student's t; of one value nothing is known. */
export interface Estimate {
  readonly mean: number;
  readonly error: number;
  readonly low: number;
  readonly high: number;
}

export function estimateOf(values: readonly number[]): Estimate {
  const centre = mean(values);
  if (values.length < 2) return { mean: centre, error: NaN, low: -Infinity, high: Infinity };
  const error = standardError(values);
  const width = error * (studentT[values.length - 2] ?? 1.96);
  return { mean: centre, error, low: centre - width, high: centre + width };
}

/** The same for ratios: their geometric mean, and an interval that is symmetric in the logarithm. */
export function ratioOf(ratios: readonly number[]): Estimate {
  const { mean: log, error, low, high } = estimateOf(ratios.map(Math.log));
  return { mean: Math.exp(log), error: Math.exp(log) * error, low: Math.exp(low), high: Math.exp(high) };
}

/** `1.52 (95 % interval 1.31 to 1.73)` */
export const inWords = ({ mean: centre, low, high }: Estimate, digits = 3): string =>
  Number.isFinite(high)
    ? `${short(centre, digits)} (95 % interval ${short(low, digits)} to ${short(high, digits)})`
    : `${short(centre, digits)} (one seed: no interval)`;

export const short = (value: number, digits = 3): string => String(Number(value.toPrecision(digits)));

/** The measures of quality that are better when they are lower. */
export type Measure = 'excessLoss' | 'slicedWasserstein';

/**
 * How many times fewer images the second run needs for the quality that the first one ends with: the length of the first
 * over the place where the second, drawn with straight lines in ln kimg and ln quality, first is as good. When it never
 * is, the other way round, and the ratio is below 1.
 */
export function speedUp(first: FinishedRun, second: FinishedRun, measure: Measure): number {
  const [end, wanted] = [first.points.at(-1)!, second.points.at(-1)!];
  const reached = firstAt(second, measure, end[measure]);
  return reached !== undefined ? end.kimg / reached : firstAt(first, measure, wanted[measure])! / wanted.kimg;
}

/** Thousands of images after which a run first is as good as a level; undefined when it never is. */
function firstAt({ points }: FinishedRun, measure: Measure, level: number): number | undefined {
  const index = points.findIndex((point) => point[measure] <= level);
  if (index < 0) return undefined;
  const after = points[index];
  if (index === 0) return after.kimg;
  const before = points[index - 1];
  const [high, low] = [Math.log(before[measure]), Math.log(after[measure])];
  const share = high === low ? 1 : (high - Math.log(level)) / (high - low);
  return before.kimg * (after.kimg / before.kimg) ** share;
}

/** How a group of runs is called in tables and figures: by its number of references. */
export const objectiveName = (references: number): string => (references === 1 ? 'DSM' : `STF, n = ${references}`);

/** Columns of `curveTable`, but for its groups. */
const curveColumns = [
  { key: 'kimg', heading: 'training (kimg)' },
  { key: 'excessLoss', heading: 'excess loss' },
  { key: 'excessLossError', heading: '± s.e.' },
  { key: 'excessLossLow', heading: 'at low σ' },
  { key: 'excessLossMid', heading: 'mid σ' },
  { key: 'excessLossHigh', heading: 'high σ' },
  { key: 'slicedWasserstein', heading: 'sliced Wasserstein' },
  { key: 'slicedWassersteinError', heading: '± s.e.' },
  { key: 'noisyShare', heading: 'noisy images (share)' },
  { key: 'noisyShareError', heading: '± s.e.' },
] as const;

/** Quality over training: means and standard errors over the seeds of each group, in the order of the groups. */
export function curveTable(groups: readonly { name: string; runs: readonly FinishedRun[] }[]): Table {
  const rows = groups.flatMap(({ name, runs }) =>
    runs[0].points.map(({ kimg }, k) => {
      const over = (value: (point: FinishedRun['points'][number]) => number): Estimate =>
        estimateOf(runs.map(({ points }) => value(points[k])));
      const [excess, wasserstein, noisy] = [
        over((point) => point.excessLoss),
        over((point) => point.slicedWasserstein),
        over((point) => point.noisyShare),
      ];
      return {
        objective: name,
        kimg,
        excessLoss: excess.mean,
        excessLossError: excess.error,
        excessLossLow: over(({ excessLossIn }) => excessLossIn.low).mean,
        excessLossMid: over(({ excessLossIn }) => excessLossIn.mid).mean,
        excessLossHigh: over(({ excessLossIn }) => excessLossIn.high).mean,
        slicedWasserstein: wasserstein.mean,
        slicedWassersteinError: wasserstein.error,
        noisyShare: noisy.mean,
        noisyShareError: noisy.error,
      };
    }),
  );
  return { columns: [{ key: 'objective', heading: 'objective' }, ...curveColumns], rows };
}

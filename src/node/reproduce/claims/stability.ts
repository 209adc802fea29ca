import { standardDeviation } from '../../../numerics/statistics.ts';
import { lineFigure } from '../../../report/line-figure.ts';
import type { Table } from '../../../report/table.ts';
import type { Claim, Verdict } from '../claim.ts';
import { curveTable, estimateOf, inWords, objectiveName, short } from '../comparison.ts';
import type { Estimate } from '../comparison.ts';
import { seriesOf } from '../figures.ts';
import { paperRecipe, smallRecipe, smokeRecipe, trainingRun } from '../recipes.ts';
import type { Recipe } from '../recipes.ts';
import { trainAll } from '../training-curves.ts';
import type { CurvePoint, FinishedRun } from '../training-curves.ts';

interface StabilitySettings {
  readonly recipe: Recipe;
  /** References of the stable target. */
  readonly references: number;
  readonly seeds: readonly number[];
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, seed) => seed);

/** Stability: how far final quality spreads over seeds, and how many images of VE end visibly noisy. */
export const stability: Claim<StabilitySettings> = {
  name: 'stability',
  summary: 'final quality over random seeds, and the share of noisy images under VE',
  statement:
    'Results of STF vary less over random seeds than those of DSM, and STF helps VE models not to end at noisy images.',
  settings: {
    smoke: {
      recipe: smokeRecipe('ve'),
      references: 32,
      seeds: upTo(3),
    },
    small: {
      recipe: smallRecipe('ve', { durationKimg: 100, evaluations: 8 }),
      references: 1024,
      seeds: upTo(8),
    },
    paper: { recipe: paperRecipe('ve'), references: 4096, seeds: upTo(5) },
  },
  trainings: ({ recipe, references, seeds }) =>
    seeds.flatMap((seed) => [1, references].map((n) => trainingRun(recipe, n, seed))),
  run: async (settings, context) => {
    const finished = await trainAll(stability.trainings(settings), context);
    const groups = [1, settings.references].map((references) => ({
      name: objectiveName(references),
      runs: finished.filter(({ run }) => (run.options.objective.kind === 'dsm') === (references === 1)),
    }));
    const table = spreadTable(groups);
    const curves = curveTable(groups);
    const perSeed: Table = {
      columns: [
        { key: 'objective', heading: 'objective' },
        { key: 'seed', heading: 'seed' },
        { key: 'excessLoss', heading: 'excess loss' },
        { key: 'slicedWasserstein', heading: 'sliced Wasserstein' },
        { key: 'noisyShare', heading: 'noisy images (share)' },
      ],
      rows: groups.flatMap(({ name, runs }) =>
        runs.map(({ run, points }) => {
          const { excessLoss, slicedWasserstein, noisyShare } = points.at(-1)!;
          return { objective: name, seed: run.options.seed, excessLoss, slicedWasserstein, noisyShare };
        }),
      ),
    };
    const kind = (value: string) => (value === 'DSM' ? ('dsm' as const) : ('stf' as const));
    return {
      tables: { table, 'per-seed': perSeed, curves },
      figures: {
        seeds: lineFigure({
          title: 'Final quality, seed by seed',
          subtitle: 'VE noise levels; each point is a training run',
          xLabel: 'seed',
          yLabel: 'sliced Wasserstein distance to held-out images',
          series: seriesOf(perSeed, { x: 'seed', y: 'slicedWasserstein', by: 'objective', kind }).map((each) => ({
            ...each,
            shape: 'dots' as const,
          })),
        }),
        noisy: lineFigure({
          title: 'Images that look noisier than 99 % of held-out ones',
          subtitle: `VE noise levels; mean of ${settings.seeds.length} seeds, band ± 1 standard error`,
          xLabel: 'training (kimg)',
          yLabel: 'share of images',
          series: seriesOf(curves, { x: 'kimg', y: 'noisyShare', error: 'noisyShareError', by: 'objective', kind }),
        }),
      },
      verdict: verdictOf(groups),
    };
  },
};

type Group = { readonly name: string; readonly runs: readonly FinishedRun[] };

const finals = ({ runs }: Group, value: (point: CurvePoint) => number): number[] =>
  runs.map(({ points }) => value(points.at(-1)!));

const measures = [
  ['excess loss', (point: CurvePoint) => point.excessLoss],
  ['sliced Wasserstein', (point: CurvePoint) => point.slicedWasserstein],
  ['noisy images (share)', (point: CurvePoint) => point.noisyShare],
] as const;

function spreadTable(groups: readonly Group[]): Table {
  return {
    columns: [
      { key: 'measure', heading: 'at the end of training' },
      { key: 'objective', heading: 'objective' },
      { key: 'mean', heading: 'mean over seeds' },
      { key: 'deviation', heading: 'standard deviation over seeds' },
      { key: 'relative', heading: 'deviation / mean' },
    ],
    rows: measures.flatMap(([measure, value]) =>
      groups.map((group) => {
        const values = finals(group, value);
        const { mean } = estimateOf(values);
        const deviation = standardDeviation(values);
        return { measure, objective: group.name, mean, deviation, relative: mean === 0 ? NaN : deviation / mean };
      }),
    ),
  };
}

/**
 * ln of the ratio of standard deviations, with the standard error that it has for normal values: the variance of ln s is
 * about 1 / (2 (k - 1)) for k values.
 */
function spreadRatio(dsm: readonly number[], stf: readonly number[]): Estimate {
  const log = Math.log(standardDeviation(stf) / standardDeviation(dsm));
  const error = Math.sqrt(1 / (2 * (dsm.length - 1)) + 1 / (2 * (stf.length - 1)));
  return { mean: Math.exp(log), error, low: Math.exp(log - 1.96 * error), high: Math.exp(log + 1.96 * error) };
}

function verdictOf([dsm, stf]: readonly Group[]): Verdict {
  const spread = spreadRatio(
    finals(dsm, (point) => point.slicedWasserstein),
    finals(stf, (point) => point.slicedWasserstein),
  );
  const noisy = finals(dsm, (point) => point.noisyShare);
  // Equal seeds start from the same weights and see the same images: differences are taken pair by pair.
  const fewer = estimateOf(finals(stf, (point) => point.noisyShare).map((share, i) => noisy[i] - share));
  const [isSteadier, isCleaner] = [spread.high < 1, fewer.low > 0];
  return {
    outcome: isSteadier && isCleaner ? 'shown' : isSteadier || isCleaner ? 'partly shown' : 'not shown',
    rule: 'Shown if the 95 % interval of the ratio of standard deviations over seeds (sliced Wasserstein, STF over DSM) lies below 1, and that of the difference in shares of noisy images, seed by seed, lies above 0; partly shown if one of the two holds.',
    because: `The standard deviation over ${dsm.runs.length} seeds under STF is ${inWords(spread)} times that under DSM. ${short(100 * estimateOf(noisy).mean)} % of images are noisy under DSM, and STF has ${inWords({ ...fewer, mean: 100 * fewer.mean, low: 100 * fewer.low, high: 100 * fewer.high })} percentage points fewer.`,
  };
}

import { lineFigure } from '../../../report/line-figure.ts';
import type { Table } from '../../../report/table.ts';
import type { Claim, Verdict } from '../claim.ts';
import { curveTable, estimateOf, inWords, objectiveName, ratioOf } from '../comparison.ts';
import type { Estimate } from '../comparison.ts';
import { seriesOf } from '../figures.ts';
import { paperRecipe, smallRecipe, smokeRecipe, trainingRun } from '../recipes.ts';
import type { Recipe } from '../recipes.ts';
import { trainAll } from '../training-curves.ts';
import type { FinishedRun } from '../training-curves.ts';

interface ReferenceSizeSettings {
  readonly recipe: Recipe;
  /** Rising; 1 is DSM, and others are at least the mini-batch, which is among the references. */
  readonly sizes: readonly number[];
  readonly seeds: readonly number[];
}

/** Larger reference batches help more: quality against n. */
export const referenceSize: Claim<ReferenceSizeSettings> = {
  name: 'reference-size',
  summary: 'quality against the number of references n, from DSM (n = 1) on',
  statement: 'Larger reference batches help more.',
  settings: {
    smoke: {
      recipe: smokeRecipe('ve'),
      sizes: [1, 8, 64],
      seeds: [0, 1],
    },
    small: {
      recipe: smallRecipe('ve', { durationKimg: 100, evaluations: 8 }),
      sizes: [1, 64, 256, 1024, 4096],
      seeds: [0, 1, 2],
    },
    paper: { recipe: paperRecipe('ve'), sizes: [1, 512, 1024, 2048, 4096, 8192], seeds: [0, 1, 2] },
  },
  trainings: ({ recipe, sizes, seeds }) =>
    seeds.flatMap((seed) => sizes.map((references) => trainingRun(recipe, references, seed))),
  run: async (settings, context) => {
    const { sizes, seeds } = settings;
    const finished = await trainAll(referenceSize.trainings(settings), context);
    const groups = sizes.map((size, k) => ({
      name: objectiveName(size),
      size,
      // The sizes of one seed follow each other.
      runs: finished.filter((_, i) => i % sizes.length === k),
    }));
    const table: Table = {
      columns: [
        { key: 'objective', heading: 'objective' },
        { key: 'references', heading: 'references n' },
        { key: 'excessLoss', heading: 'final excess loss' },
        { key: 'excessLossError', heading: '± s.e.' },
        { key: 'slicedWasserstein', heading: 'final sliced Wasserstein' },
        { key: 'slicedWassersteinError', heading: '± s.e.' },
        { key: 'cost', heading: 'seconds an image, over DSM' },
      ],
      rows: groups.map(({ name, size, runs }) => {
        const [loss, distance] = [
          estimateOf(runs.map(({ points }) => points.at(-1)!.excessLoss)),
          estimateOf(runs.map(({ points }) => points.at(-1)!.slicedWasserstein)),
        ];
        const cost = ratioOf(runs.map((run, i) => run.secondsPerKimg / groups[0].runs[i].secondsPerKimg)).mean;
        return {
          ...{ objective: name, references: size, excessLoss: loss.mean, excessLossError: loss.error },
          ...{ slicedWasserstein: distance.mean, slicedWassersteinError: distance.error, cost },
        };
      }),
    };
    const figure = (y: string, yLabel: string): string =>
      lineFigure({
        title: 'Quality against the number of references',
        subtitle: `VE noise levels; mean of ${seeds.length} seeds, band ± 1 standard error; n = 1 is DSM`,
        xLabel: 'references n',
        yLabel,
        logX: true,
        logY: true,
        series: seriesOf(
          { ...table, rows: table.rows.map((row) => ({ ...row, all: 'end of training' })) },
          { x: 'references', y, error: `${y}Error`, by: 'all', kind: () => 'stf' },
        ),
      });
    return {
      tables: { table, curves: curveTable(groups) },
      figures: {
        loss: figure('excessLoss', 'final excess loss above the lowest possible, per value'),
        samples: figure('slicedWasserstein', 'final sliced Wasserstein distance to held-out images'),
      },
      verdict: verdictOf(groups),
    };
  },
};

function verdictOf(groups: readonly { name: string; size: number; runs: readonly FinishedRun[] }[]): Verdict {
  // Equal seeds start from the same weights and see the same images: ratios are taken pair by pair.
  const steps = groups.slice(1).map((group, k) => ({
    from: groups[k].size,
    to: group.size,
    ratio: lossRatio(groups[k].runs, group.runs),
  }));
  const whole = lossRatio(groups[0].runs, groups.at(-1)!.runs);
  const isMonotone = steps.every(({ ratio }) => ratio.mean < 1);
  return {
    outcome: whole.high < 1 && isMonotone ? 'shown' : whole.high < 1 ? 'partly shown' : 'not shown',
    rule: 'Shown if the 95 % interval of the ratio of final excess losses, largest n over DSM and seed by seed, lies below 1, and each larger n has a smaller mean than the one before; partly shown if only the first holds.',
    because: `From DSM to n = ${groups.at(-1)!.size} the excess loss changes by a factor of ${inWords(whole)}. Step by step: ${steps.map(({ from, to, ratio }) => `${from} to ${to}: ${inWords(ratio)}`).join('; ')}.`,
  };
}

const lossRatio = (before: readonly FinishedRun[], after: readonly FinishedRun[]): Estimate =>
  ratioOf(after.map((run, i) => run.points.at(-1)!.excessLoss / before[i].points.at(-1)!.excessLoss));

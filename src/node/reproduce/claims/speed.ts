import { lineFigure } from '../../../report/line-figure.ts';
import type { Claim, ClaimResult, Verdict } from '../claim.ts';
import { curveTable, estimateOf, inWords, objectiveName, ratioOf, short, speedUp } from '../comparison.ts';
import type { Estimate } from '../comparison.ts';
import { seriesOf } from '../figures.ts';
import { paperRecipe, smallRecipe, smokeRecipe, trainingRun } from '../recipes.ts';
import type { Recipe } from '../recipes.ts';
import { trainAll } from '../training-curves.ts';
import type { FinishedRun } from '../training-curves.ts';

interface SpeedSettings {
  readonly recipes: readonly Recipe[];
  /** References of the stable target. */
  readonly references: number;
  readonly seeds: readonly number[];
}

const formulations = ['ve', 'vp', 'edm'] as const;

/** Faster training: the same quality in fewer images and seconds, DSM against STF with equal seeds. */
export const speed: Claim<SpeedSettings> = {
  name: 'speed',
  summary: 'the same quality in fewer images, DSM against STF: VE, VP and EDM',
  statement:
    'STF trains faster than DSM at the same or better quality: 3.6 times for VE on CIFAR-10, and less for VP and EDM.',
  settings: {
    smoke: {
      recipes: formulations.map(smokeRecipe),
      references: 32,
      seeds: [0, 1],
    },
    small: {
      recipes: formulations.map((each) => smallRecipe(each, { durationKimg: 100, evaluations: 8 })),
      references: 1024,
      seeds: [0, 1, 2],
    },
    paper: { recipes: formulations.map(paperRecipe), references: 4096, seeds: [0, 1, 2] },
  },
  trainings: ({ recipes, references, seeds }) =>
    recipes.flatMap((recipe) => seeds.flatMap((seed) => [1, references].map((n) => trainingRun(recipe, n, seed)))),
  run: async (settings, context): Promise<ClaimResult> => {
    const finished = await trainAll(speed.trainings(settings), context);
    const of = ({ formulation }: Recipe, references: number): FinishedRun[] =>
      settings.seeds.map((seed) =>
        finished.find(
          ({ run: { recipe, options } }) =>
            recipe.formulation === formulation &&
            options.seed === seed &&
            (options.objective.kind === 'dsm') === (references === 1),
        )!,
      );
    const tables: Record<string, ClaimResult['tables'][string]> = {};
    const figures: Record<string, string> = {};
    const ratios = settings.recipes.map((recipe) => {
      const [dsm, stf] = [of(recipe, 1), of(recipe, settings.references)];
      const { formulation } = recipe;
      const table = curveTable([
        { name: objectiveName(1), runs: dsm },
        { name: objectiveName(settings.references), runs: stf },
      ]);
      tables[`curves-${formulation}`] = table;
      for (const [name, y, yLabel] of [
        ['loss', 'excessLoss', 'excess loss above the lowest possible, per value'],
        ['samples', 'slicedWasserstein', 'sliced Wasserstein distance to held-out images'],
      ] as const) {
        figures[`${formulation}-${name}`] = lineFigure({
          title: `${formulation.toUpperCase()}: quality over training`,
          subtitle: `Mean of ${settings.seeds.length} seeds, band ± 1 standard error`,
          xLabel: 'training (kimg)',
          yLabel,
          logX: true,
          logY: true,
          series: seriesOf(table, {
            ...{ x: 'kimg', y, error: `${y}Error`, by: 'objective' },
            kind: (value) => (value === 'DSM' ? 'dsm' : 'stf'),
          }),
        });
      }
      const over = (ratio: (first: FinishedRun, second: FinishedRun) => number): Estimate =>
        ratioOf(dsm.map((first, i) => ratio(first, stf[i])));
      return {
        formulation,
        loss: over((first, second) => speedUp(first, second, 'excessLoss')),
        samples: over((first, second) => speedUp(first, second, 'slicedWasserstein')),
        // The stable target costs time as well: what is left of the gain is in seconds.
        cost: over((first, second) => second.secondsPerKimg / first.secondsPerKimg),
        final: { dsm: estimateOf(dsm.map(finalDistance)).mean, stf: estimateOf(stf.map(finalDistance)).mean },
        floor: stf[0].floor,
      };
    });
    tables.table = {
      columns: [
        { key: 'formulation', heading: 'noise levels' },
        { key: 'loss', heading: 'fewer images for the same excess loss (times)' },
        { key: 'lossError', heading: '± s.e.' },
        { key: 'samples', heading: 'fewer images for the same sliced Wasserstein distance (times)' },
        { key: 'samplesError', heading: '± s.e.' },
        { key: 'cost', heading: 'seconds an image, STF over DSM' },
        { key: 'seconds', heading: 'fewer seconds for the same excess loss (times)' },
        { key: 'dsm', heading: 'final distance, DSM' },
        { key: 'stf', heading: 'final distance, STF' },
        { key: 'floor', heading: 'distance of training images' },
      ],
      rows: ratios.map(({ formulation, loss, samples, cost, final, floor }) => ({
        ...{ formulation, loss: loss.mean, lossError: loss.error, samples: samples.mean, samplesError: samples.error },
        ...{ cost: cost.mean, seconds: loss.mean / cost.mean, ...final, floor },
      })),
    };
    return { tables, figures, verdict: verdictOf(ratios) };
  },
};

const finalDistance = ({ points }: FinishedRun): number => points.at(-1)!.slicedWasserstein;

function verdictOf(
  ratios: readonly { formulation: string; loss: Estimate; samples: Estimate; cost: Estimate }[],
): Verdict {
  const isFaster = ({ loss, samples }: (typeof ratios)[number]): boolean => loss.low > 1 && samples.mean >= 1;
  const [ve] = ratios.filter(({ formulation }) => formulation === 've');
  const faster = ratios.filter(isFaster);
  return {
    outcome: isFaster(ve) ? 'shown' : faster.length > 0 ? 'partly shown' : 'not shown',
    rule: 'Shown if for VE the 95 % interval of the ratio of images for the same excess loss lies above 1 and the mean ratio for the same sliced Wasserstein distance is at least 1; partly shown if that holds for VP or EDM alone.',
    because: ratios
      .map(
        ({ formulation, loss, samples, cost }) =>
          `${formulation.toUpperCase()}: STF needs ${inWords(loss)} times fewer images for DSM's final excess loss, ${inWords(samples)} times fewer for its final sliced Wasserstein distance, at ${short(cost.mean)} times the seconds an image.`,
      )
      .join(' '),
  };
}

import { lineFigure } from '../../../report/line-figure.ts';
import type { Table } from '../../../report/table.ts';
import { noiseEstimates } from '../../../metrics/noise-estimate.ts';
import { slicedWasserstein } from '../../../metrics/sliced-wasserstein.ts';
import { sampleSize } from '../../../data/dataset.ts';
import { quantile } from '../../../numerics/statistics.ts';
import { compileDenoiser, generateWith, samplerByName } from '../../../sampling/index.ts';
import type { SamplerChoices, SamplerKind } from '../../../sampling/index.ts';
import { sampleShapeOf } from '../../../networks/index.ts';
import { loadClaimData } from '../claim-data.ts';
import { ClaimStopped } from '../claim.ts';
import type { Claim, Verdict } from '../claim.ts';
import { estimateOf, short } from '../comparison.ts';
import type { Estimate } from '../comparison.ts';
import { seriesOf } from '../figures.ts';
import { valuesOf, wassersteinOptions } from '../quality.ts';
import { paperRecipe, smallRecipe, smokeRecipe, trainingRun } from '../recipes.ts';
import type { Recipe } from '../recipes.ts';
import { trainAll } from '../training-curves.ts';

/** A sampler at several costs. */
interface SamplerPlan {
  readonly name: string;
  readonly kind: SamplerKind;
  readonly choices: readonly SamplerChoices[];
}

interface SamplersSettings {
  readonly recipe: Recipe;
  readonly references: number;
  readonly samplers: readonly SamplerPlan[];
  /** Samples drawn at a time, and how many times, each with seeds of its own. */
  readonly drawn: number;
  readonly repeats: number;
}

const sigmas = { sigmaMin: 0.02, sigmaMax: 80 };
const process = { kind: 've', ...sigmas } as const;

/** Heun (EDM), DDIM, DPM-Solver++, RK45, and predictor-corrector with as many Langevin as reverse-diffusion steps. */
const plans = (heun: number[], first: number[], pc: number[], tolerances: number[]): SamplerPlan[] => [
  { name: 'Heun (EDM)', kind: 'edm', choices: heun.map((steps) => ({ steps, ...sigmas })) },
  { name: 'DDIM', kind: 'ddim', choices: first.map((steps) => ({ steps, ...sigmas })) },
  { name: 'DPM-Solver++(2M)', kind: 'dpm-solver++', choices: first.map((steps) => ({ steps, ...sigmas })) },
  { name: 'RK45', kind: 'rk45', choices: tolerances.map((tol) => ({ rtol: tol, atol: tol, process })) },
  { name: 'predictor-corrector', kind: 'predictor-corrector', choices: pc.map((steps) => ({ steps, process })) },
];

/** Quality against network evaluations, for the samplers of the literature on one trained network. */
export const samplers: Claim<SamplersSettings> = {
  name: 'samplers',
  summary: 'quality against network evaluations: Heun, DDIM, DPM-Solver++, RK45, predictor-corrector',
  statement:
    "With EDM's Heun sampler 35 network evaluations are enough; predictor-corrector sampling takes two thousand, and RK45 a hundred or more.",
  settings: {
    smoke: {
      recipe: smokeRecipe('ve'),
      references: 32,
      samplers: plans([2, 4], [3], [4], [0.05]),
      drawn: 16,
      repeats: 2,
    },
    small: {
      recipe: smallRecipe('ve', { durationKimg: 400, evaluations: 4 }),
      references: 1024,
      samplers: plans([3, 5, 8, 12, 18, 30], [5, 10, 20, 40, 80], [25, 50, 100, 200, 400], [1e-1, 1e-2, 1e-3, 1e-4]),
      drawn: 1024,
      repeats: 3,
    },
    paper: {
      recipe: paperRecipe('ve'),
      references: 4096,
      samplers: plans([5, 9, 18, 36], [10, 20, 50, 100, 250], [250, 500, 1000], [1e-2, 1e-3, 1e-4, 1e-5]),
      drawn: 10_000,
      repeats: 3,
    },
  },
  trainings: ({ recipe, references }) => [trainingRun(recipe, references, 0)],
  run: async (settings, context) => {
    const { recipe, drawn, repeats } = settings;
    const [{ weights, run, floor }] = await trainAll(samplers.trainings(settings), context);
    const { denoiser: config } = run.options;
    const { train, heldOut } = await loadClaimData(recipe.data);
    const dimension = sampleSize(train);
    const held = valuesOf(heldOut, Math.min(heldOut.length, 10_000));
    const threshold = quantile(noiseEstimates(held, train.sampleShape), 0.99);
    const batch = Math.min(drawn, 1024);
    const denoiser = await compileDenoiser(context.runtime, config, { batch, weights });
    const network = { range: denoiser.sigmaRange, preconditioning: config.preconditioning, sampleSize: dimension };
    const all = settings.samplers.flatMap(({ name, kind, choices }) =>
      choices.map((choice) => ({ name, kind, choice })),
    );
    const update = context.begin({ unit: 'sampler runs', total: all.length * repeats });
    const rows: (Row & { distance: Estimate })[] = [];
    try {
      for (const [index, { name, kind, choice }] of all.entries()) {
        const sampler = samplerByName(kind, choice, network);
        const [distances, noisy, costs]: [number[], number[], number[]] = [[], [], []];
        for (let repeat = 0; repeat < repeats; repeat++) {
          const seeds = Array.from({ length: drawn }, (_, i) => repeat * drawn + i);
          const before = denoiser.evaluations;
          const samples = await generateWith(denoiser, sampleShapeOf(config.network), seeds, {
            ...sampler,
            onProgress: () => {
              if (context.signal.aborted)
                throw new ClaimStopped('the trained network is kept: the same command goes on with it');
            },
          });
          costs.push((denoiser.evaluations - before) / Math.ceil(drawn / batch));
          distances.push(slicedWasserstein(samples, held, wassersteinOptions(dimension)));
          noisy.push(noiseEstimates(samples, train.sampleShape).filter((each) => each > threshold).length / drawn);
          update(index * repeats + repeat + 1);
        }
        const distance = estimateOf(distances);
        rows.push({
          ...{ sampler: name, setting: settingOf(choice), nfe: estimateOf(costs).mean, distance },
          ...{ slicedWasserstein: distance.mean, slicedWassersteinError: distance.error },
          noisyShare: estimateOf(noisy).mean,
        });
      }
    } finally {
      await denoiser.release();
    }
    const table: Table = {
      columns: [
        { key: 'sampler', heading: 'sampler' },
        { key: 'setting', heading: 'setting' },
        { key: 'nfe', heading: 'network evaluations' },
        { key: 'slicedWasserstein', heading: 'sliced Wasserstein' },
        { key: 'slicedWassersteinError', heading: '± s.e.' },
        { key: 'noisyShare', heading: 'noisy images (share)' },
      ],
      rows: rows.map(({ distance: _, ...row }) => row),
    };
    return {
      tables: { table },
      figures: {
        quality: lineFigure({
          title: 'Quality against network evaluations',
          subtitle: `One network (${run.name}); mean of ${repeats} draws of ${drawn}, band ± 1 standard error; training images are at ${short(floor)}`,
          xLabel: 'network evaluations a sample',
          yLabel: 'sliced Wasserstein distance to held-out images',
          logX: true,
          logY: true,
          series: seriesOf(table, {
            ...{ x: 'nfe', y: 'slicedWasserstein', error: 'slicedWassersteinError', by: 'sampler' },
          }),
        }),
      },
      verdict: verdictOf(rows),
    };
  },
};

interface Row {
  readonly sampler: string;
  readonly setting: string;
  readonly nfe: number;
  readonly slicedWasserstein: number;
  readonly slicedWassersteinError: number;
  readonly noisyShare: number;
}

const settingOf = ({ steps, rtol }: SamplerChoices): string =>
  steps === undefined ? `tolerance ${rtol}` : `${steps} steps`;

/** How far from the best is as good. */
const margin = 1.05;

function verdictOf(rows: readonly (Row & { distance: Estimate })[]): Verdict {
  const best = rows.reduce((a, b) => (b.slicedWasserstein < a.slicedWasserstein ? b : a));
  const isAsGood = ({ slicedWasserstein, slicedWassersteinError }: Row): boolean =>
    slicedWasserstein <=
    margin * best.slicedWasserstein + 2 * Math.hypot(slicedWassersteinError || 0, best.slicedWassersteinError || 0);
  const cheapest = (name: string): Row | undefined =>
    rows.filter((row) => row.sampler === name && isAsGood(row)).sort((a, b) => a.nfe - b.nfe)[0];
  const heun = cheapest('Heun (EDM)');
  const others = ['predictor-corrector', 'RK45'].map((name) => ({ name, found: cheapest(name) }));
  const isEnough = heun !== undefined && heun.nfe <= 35;
  const isFewest = others.every(({ found }) => found === undefined || (heun !== undefined && heun.nfe < found.nfe));
  const told = (name: string, found: Row | undefined): string =>
    found ? `${name} is as good with ${short(found.nfe)} evaluations` : `${name} is not as good at any cost tried`;
  return {
    outcome: isEnough && isFewest ? 'shown' : isEnough ? 'partly shown' : 'not shown',
    rule: 'As good means a sliced Wasserstein distance within 5 % and two standard errors of the best of all. Shown if Heun is as good with at most 35 evaluations, and with fewer than predictor-corrector and RK45 need; partly shown if only the first holds.',
    because: `The best is ${best.sampler} with ${short(best.nfe)} evaluations (${short(best.slicedWasserstein)}). ${told('Heun', heun)}; ${others.map(({ name, found }) => told(name, found)).join('; ')}.`,
  };
}

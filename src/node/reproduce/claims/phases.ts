import { analyzePhases, logSpaced, phaseOf, phaseShares, varianceFactor } from '../../../analysis/index.ts';
import type { PhaseAnalysis } from '../../../analysis/index.ts';
import type { Table } from '../../../report/table.ts';
import { formulations } from '../../../training/index.ts';
import { loadClaimData } from '../claim-data.ts';
import type { ClaimData } from '../claim-data.ts';
import { ClaimStopped } from '../claim.ts';
import type { Claim, Verdict } from '../claim.ts';
import { short } from '../comparison.ts';

interface PhasesSettings {
  readonly data: ClaimData;
  readonly sigmas: readonly number[];
  /** Noisy images a level. */
  readonly images: number;
  readonly seed: number;
}

/** The three phases: where the posterior is ambiguous, targets vary most. */
export const phases: Claim<PhasesSettings> = {
  name: 'phases',
  summary: 'the three phases: targets vary most where several images may be the source',
  statement:
    'Between low noise, where one image decides, and high noise, where all weigh alike, lies an intermediate phase in which the training target varies most.',
  settings: {
    smoke: {
      data: { kind: 'planes', side: 4, length: 200 },
      sigmas: logSpaced(0.05, 50, 10),
      images: 16,
      seed: 0,
    },
    small: { data: { kind: 'cifar10', side: 32 }, sigmas: logSpaced(0.5, 200, 24), images: 64, seed: 0 },
    paper: { data: { kind: 'cifar10', side: 32 }, sigmas: logSpaced(0.2, 200, 40), images: 256, seed: 0 },
  },
  trainings: () => [],
  run: async ({ data, sigmas, images, seed }, context) => {
    const { train } = await loadClaimData(data);
    const update = context.begin({ unit: 'noisy images', total: sigmas.length * images });
    const analysis = await analyzePhases(context.runtime, train, {
      ...{ sigmas, images, seed },
      onProgress: (done) => {
        update(done);
        if (context.signal.aborted) throw new ClaimStopped('nothing was written: it takes minutes, and starts over');
      },
    });
    const table = tableOf(analysis);
    const x = table.rows.map(({ sigma }) => Number(sigma));
    const column = (key: string): number[] => table.rows.map((row) => Number(row[key]));
    const { lower, upper } = analysis.borders;
    return {
      tables: { table },
      figures: {
        phases: {
          title: 'The three phases',
          subtitle: `${train.name}, ${analysis.sources} images; the intermediate phase lies between σ = ${border(lower)} and ${border(upper)}`,
          xLabel: 'noise level σ',
          yLabel: 'share of the maximum; total variation',
          logX: true,
          series: [
            { name: 'variance of the score target / max', kind: 'dsm', x, y: column('scoreShare') },
            { name: 'variance of the noise target / max', kind: 'dsm', x, y: column('noiseShare') },
            { name: 'distance to one image', kind: 'stf', x, y: column('toPoint'), error: column('toPointError') },
            { name: 'distance to the prior', kind: 'data', x, y: column('toPrior'), error: column('toPriorError') },
          ],
        },
      },
      verdict: verdictOf(analysis, table),
    };
  },
};

const border = (sigma: number | null): string => (sigma === null ? 'outside the grid' : short(sigma));

function tableOf({ levels, borders }: PhaseAnalysis): Table {
  // Scales of processes other than VE and EDM are factors of x, not of the target's form: s = 1 here.
  const noise = levels.map(({ sigma, variance }) => variance.mean * varianceFactor('noise', sigma, 1));
  const score = levels.map(({ sigma, variance }) => variance.mean * varianceFactor('score', sigma, 1));
  return {
    columns: [
      { key: 'sigma', heading: 'σ' },
      { key: 'phase', heading: 'phase' },
      { key: 'variance', heading: 'Tr Cov(image given x)' },
      { key: 'varianceError', heading: '± s.e.' },
      { key: 'noise', heading: 'of the noise target (/ σ²)' },
      { key: 'noiseShare', heading: '/ max' },
      { key: 'score', heading: 'of the score target (/ σ⁴)' },
      { key: 'scoreShare', heading: '/ max' },
      { key: 'sources', heading: 'effective sources, mean' },
      { key: 'medianSources', heading: 'median' },
      { key: 'toPoint', heading: 'distance to one image' },
      { key: 'toPointError', heading: '± s.e.' },
      { key: 'toPrior', heading: 'distance to the prior' },
      { key: 'toPriorError', heading: '± s.e.' },
      { key: 'nearest', heading: 'nearest image is the source (share)' },
    ],
    rows: levels.map((level, k) => ({
      sigma: level.sigma,
      phase: phaseOf(level.sigma, borders, levels),
      variance: level.variance.mean,
      varianceError: level.variance.standardError,
      noise: noise[k],
      noiseShare: noise[k] / Math.max(...noise),
      score: score[k],
      scoreShare: score[k] / Math.max(...score),
      sources: level.effectiveSources.mean,
      medianSources: level.medianSources,
      toPoint: level.toPoint.mean,
      toPointError: level.toPoint.standardError,
      toPrior: level.toPrior.mean,
      toPriorError: level.toPrior.standardError,
      nearest: level.nearestIsSource.mean,
    })),
  };
}

function verdictOf({ borders, levels }: PhaseAnalysis, { rows }: Table): Verdict {
  const peak = (key: string) => rows.reduce((a, b) => (Number(b[key]) > Number(a[key]) ? b : a));
  const [noise, score] = [peak('noise'), peak('score')];
  const isBetween = [noise, score].map(({ phase }) => phase === 'intermediate');
  const shares = (['ve', 'vp', 'edm'] as const).map((name) => {
    const { near, intermediate, far } = phaseShares(formulations[name].noiseLevels, borders, levels);
    return `${name.toUpperCase()} ${percent(near)} near, ${percent(intermediate)} intermediate, ${percent(far)} far`;
  });
  return {
    outcome: isBetween.every(Boolean) ? 'shown' : isBetween.some(Boolean) ? 'partly shown' : 'not shown',
    rule: `The intermediate phase is where the posterior is, by a mean total variation of more than ${borders.threshold}, neither one image nor the prior. Shown if the variances of the noise target and of the score target are both largest there; partly shown if one is.`,
    because: `The intermediate phase lies between σ = ${border(borders.lower)} and ${border(borders.upper)}. The noise target varies most at σ = ${short(Number(noise.sigma))} (${String(noise.phase)}), the score target at ${short(Number(score.sigma))} (${String(score.phase)}). Noise levels drawn in training: ${shares.join('; ')}.`,
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

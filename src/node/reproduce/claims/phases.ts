import { analyzePhases, logSpaced, phaseShares } from '../../../analysis/index.ts';
import type { PhaseAnalysis } from '../../../analysis/index.ts';
import { phasesFigure, phasesTable } from '../../../report/phase-report.ts';
import type { Table } from '../../../report/table.ts';
import { formulations } from '../../../training/index.ts';
import { loadClaimData } from '../claim-data.ts';
import type { ClaimData } from '../claim-data.ts';
import { ClaimStopped } from '../claim.ts';
import type { Claim, Verdict } from '../claim.ts';
import { short } from '../comparison.ts';
import { estimatePhases } from '../estimate.ts';

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
  estimate: (settings, runtime) => estimatePhases(runtime, settings),
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
    // The forward process of VE and EDM: s = 1.
    const subject = { data: train.name, process: 'VE and EDM', scale: () => 1 };
    const table = phasesTable(analysis, subject);
    return {
      tables: { table },
      figures: { phases: phasesFigure(analysis, subject) },
      verdict: verdictOf(analysis, table),
    };
  },
};

const border = (sigma: number | null): string => (sigma === null ? 'outside the grid' : short(sigma));

function verdictOf({ borders, levels }: PhaseAnalysis, { rows }: Table): Verdict {
  const peak = (key: string) => rows.reduce((a, b) => (Number(b[key]) > Number(a[key]) ? b : a));
  const [noise, score] = [peak('variance_noise'), peak('variance_score')];
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

import { phaseOf, phases, varianceFactor } from '../analysis/index.ts';
import type { Estimate, Phase, PhaseAnalysis, PhaseBorders, PhaseDistances, PhaseLevel } from '../analysis/index.ts';
import { panelFigure } from './line-figure.ts';
import type { LinePanel, Series, ShadedRange } from './line-figure.ts';
import type { Table } from './table.ts';
import { grouped } from './ticks.ts';

/** What a report says of the data and the process. */
export interface ReportSubject {
  readonly data: string;
  /** EDM, VE, VP. */
  readonly process: string;
  /** s at a noise level. */
  readonly scale: (sigma: number) => number;
}

const sigmaLabel = 'noise level σ (data units)';

/** The phases as ranges of σ with backgrounds of their own. */
export function shadedPhases(phaseBorders: PhaseBorders, levels: readonly PhaseDistances[]): ShadedRange[] {
  const { lower, upper } = phaseBorders;
  const [first, last] = [levels[0].sigma, levels[levels.length - 1].sigma];
  const borders = [first, lower, upper, last].filter((each) => each !== null);
  return phases.flatMap((label) => {
    const own = borders.slice(1).map((to, i) => ({ from: borders[i], to }));
    const found = own.filter(({ from, to }) => phaseOf(Math.sqrt(from * to), phaseBorders, levels) === label);
    // A phase that the data do not have keeps its place, so that colours stay the same.
    return found.length > 0 ? found.map((range) => ({ ...range, label })) : [{ from: 0, to: 0, label }];
  });
}

/** The three phases of a data set as a figure: target variance, distances of the posterior, sources, and the source. */
export function phasesFigure(
  { levels, borders, sources }: PhaseAnalysis,
  { data, process, scale }: ReportSubject,
): string {
  const x = levels.map(({ sigma }) => sigma);
  const series = (name: string, value: (level: PhaseLevel) => Estimate, more: Partial<Series> = {}): Series => ({
    name,
    x,
    y: levels.map((level) => value(level).mean),
    error: levels.map((level) => value(level).standardError),
    ...more,
  });
  const shaded = shadedPhases(borders, levels);
  const panel = (title: string, yLabel: string, curves: Series[], more: Partial<LinePanel> = {}): LinePanel => ({
    title,
    xLabel: sigmaLabel,
    yLabel,
    series: curves,
    logX: true,
    shaded,
    ...more,
  });
  const relative = (name: string, form: 'denoiser' | 'noise' | 'score'): Series => {
    const scaled = (level: PhaseLevel): number => varianceFactor(form, level.sigma, scale(level.sigma));
    const most = Math.max(...levels.map((level) => scaled(level) * level.variance.mean));
    return series(name, (level) => scaleEstimate(level.variance, scaled(level) / (most || 1)));
  };
  const threshold: Series = { name: 'threshold', x, y: x.map(() => borders.threshold), shape: 'law' };
  const noisy = levels[0].images;
  return panelFigure({
    title: `The three phases of ${data}`,
    subtitle: `Exact posterior over ${grouped(sources)} samples, ${process}; mean over ${noisy} noisy samples a noise level, bands ± 1 standard error`,
    panels: [
      panel(
        'Variance of the DSM target',
        'E Tr Cov, over its maximum',
        [relative('denoiser', 'denoiser'), relative('noise', 'noise'), relative('score', 'score')],
        { domainY: [0, 1] },
      ),
      panel(
        'Between point mass and prior',
        'total variation',
        [
          series('to nearest point mass', (level) => level.toPoint),
          series('to prior', (level) => level.toPrior),
          threshold,
        ],
        { domainY: [0, 1] },
      ),
      panel(
        'Effective number of sources',
        'sources',
        [
          series('mean 1/Σw²', (level) => level.effectiveSources),
          { name: 'median', x, y: levels.map((level) => level.medianSources) },
          {
            name: 'exp(entropy)',
            x,
            y: levels.map((level) => Math.exp(level.entropy.mean)),
          },
        ],
        { logY: true },
      ),
      panel(
        'Is the source found?',
        'probability',
        [
          series('nearest sample is the source', (level) => level.nearestIsSource),
          series('posterior weight of the source', (level) => level.sourceWeight),
        ],
        { domainY: [0, 1] },
      ),
    ],
  });
}

const scaleEstimate = ({ mean, standardError }: Estimate, factor: number): Estimate => ({
  mean: mean * factor,
  standardError: standardError * factor,
});

/** One row a noise level, with every measure and its standard error. */
export function phasesTable({ levels, borders, sources }: PhaseAnalysis, { scale }: ReportSubject): Table {
  const columns: { key: string; heading: string }[] = [
    { key: 'sigma', heading: 'σ' },
    { key: 'phase', heading: 'phase' },
    { key: 'images', heading: 'noisy samples' },
  ];
  const estimates: readonly [string, string, (level: PhaseLevel) => Estimate][] = [
    ['variance_denoiser', 'E Tr Cov', (level) => level.variance],
    ['variance_noise', 'over σ²', (level) => scaleEstimate(level.variance, varianceFactor('noise', level.sigma, 1))],
    [
      'variance_score',
      'over s²σ⁴',
      (level) => scaleEstimate(level.variance, varianceFactor('score', level.sigma, scale(level.sigma))),
    ],
    ['entropy', 'entropy (nats)', (level) => level.entropy],
    ['effective_sources', 'sources', (level) => level.effectiveSources],
    ['kl_to_prior', 'KL to prior (nats)', (level) => level.klToPrior],
    ['tv_to_prior', 'TV to prior', (level) => level.toPrior],
    ['tv_to_point', 'TV to point mass', (level) => level.toPoint],
    ['source_weight', 'weight of the source', (level) => level.sourceWeight],
    ['nearest_is_source', 'nearest is the source', (level) => level.nearestIsSource],
  ];
  for (const [key, heading] of estimates) columns.push({ key, heading }, { key: `${key}_se`, heading: '±' });
  columns.push({ key: 'median_sources', heading: 'sources, median' }, { key: 'data_samples', heading: 'N' });
  const rows = levels.map((level) => ({
    sigma: level.sigma,
    phase: phaseOf(level.sigma, borders, levels),
    images: level.images,
    ...Object.fromEntries(
      estimates.flatMap(([key, , of]) => {
        const { mean, standardError } = of(level);
        return [
          [key, mean],
          [`${key}_se`, standardError],
        ];
      }),
    ),
    median_sources: level.medianSources,
    data_samples: sources,
  }));
  return { columns, rows };
}

/** Where the phases lie and what that means for training, in sentences. */
export function phaseAdvice(
  { levels, borders, sources }: PhaseAnalysis,
  { scale }: Pick<ReportSubject, 'scale'>,
  shares: readonly { readonly process: string; readonly shares: Readonly<Record<Phase, number>> }[],
): string[] {
  const { lower, upper, threshold } = borders;
  const shown = (sigma: number): string => String(Number(sigma.toPrecision(3)));
  const percent = (share: number): string => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;
  const peak = (form: 'noise' | 'score'): number => {
    const inForm = ({ sigma, variance }: PhaseLevel): number =>
      variance.mean * varianceFactor(form, sigma, scale(sigma));
    return levels.reduce((a, b) => (inForm(b) > inForm(a) ? b : a)).sigma;
  };
  const [first, last] = [levels[0].sigma, levels[levels.length - 1].sigma];
  return [
    lower === null
      ? phaseOf(first, borders, levels) === 'near'
        ? `Near phase: all of the grid, up to σ = ${shown(last)}: one sample explains a noisy one.`
        : `Near phase: below the grid, σ < ${shown(first)}.`
      : `Near phase: σ < ${shown(lower)}. One sample explains a noisy one; the stable target equals DSM's.`,
    lower === null && upper === null
      ? `Intermediate phase: its borders are not both in the grid from ${shown(first)} to ${shown(last)}.`
      : `Intermediate phase: σ from ${lower === null ? `below ${shown(first)}` : shown(lower)} to ${upper === null ? `beyond ${shown(last)}` : shown(upper)}. Several samples explain a noisy one; DSM's target jumps among them.`,
    upper === null
      ? `Far phase: beyond the grid, σ > ${shown(last)}.`
      : `Far phase: σ > ${shown(upper)}. All ${grouped(sources)} samples explain a noisy one about alike.`,
    `(Mean total variation of at most ${threshold} to a point mass is near, to the prior is far.)`,
    `The target's variance is largest at σ = ${shown(peak('noise'))} for the noise, ${shown(peak('score'))} for the score.`,
    'Share of the noise levels of training:',
    ...shares.map(
      ({ process, shares: { near, intermediate, far } }) =>
        `  ${process.padEnd(4)} ${percent(near).padStart(6)} near, ${percent(intermediate).padStart(6)} intermediate, ${percent(far).padStart(6)} far: the stable target can help in ${percent(intermediate + far)} of the draws.`,
    ),
  ];
}

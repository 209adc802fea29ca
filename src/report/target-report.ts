import { nilVariance, phaseBorders, phaseOf, phases } from '../analysis/index.ts';
import type { Phase, PhaseBorders, SizeErrors, TargetAnalysis, TargetLevel } from '../analysis/index.ts';
import { panelFigure } from './line-figure.ts';
import type { LinePanel, Series } from './line-figure.ts';
import type { ReportSubject } from './phase-report.ts';
import type { Table } from './table.ts';
import { grouped } from './ticks.ts';

/** Panels of a figure are at most so many noise levels. */
const mostPanels = 6;

/** All levels, or where there are too many, some that are spread evenly over them. */
function chosenLevels({ levels }: TargetAnalysis): readonly TargetLevel[] {
  if (levels.length <= mostPanels) return levels;
  return Array.from({ length: mostPanels }, (_, i) => levels[Math.round((i / (mostPanels - 1)) * (levels.length - 1))]);
}

const bordersOf = ({ levels }: TargetAnalysis): PhaseBorders => phaseBorders(levels.map(({ posterior }) => posterior));

const phaseAt = (analysis: TargetAnalysis, { sigma }: TargetLevel, borders: PhaseBorders): Phase =>
  phaseOf(
    sigma,
    borders,
    analysis.levels.map(({ posterior }) => posterior),
  );

const fixed = (value: number): string => value.toFixed(2).replace('-', '−');
const shown = (value: number): string => String(Number(value.toPrecision(3)));

function subtitleOf({ sources }: TargetAnalysis, { data }: ReportSubject, images: number): string {
  return `${data}, against the exact posterior over ${grouped(sources)} samples; mean over ${images} noisy samples, ± 1 standard error`;
}

const curve = (
  name: string,
  errors: readonly SizeErrors[],
  value: 'trace' | 'biasSquared',
  more: Partial<Series> = {},
): Series => ({
  name,
  x: errors.map(({ references }) => references),
  y: errors.map((each) => (value === 'trace' && each.trace.mean < nilVariance ? NaN : each[value].mean)),
  error: errors.map((each) => each[value].standardError),
  ...more,
});

/** Trace of the covariance against n, one panel a noise level, with its limit in 1/n. */
export function covarianceFigure(analysis: TargetAnalysis, subject: ReportSubject): string {
  const borders = bordersOf(analysis);
  const panels = chosenLevels(analysis).map((level): LinePanel => {
    const slope = level.slope
      ? `, slope ${fixed(level.slope.slope)} [${level.slope.interval.map(fixed).join(', ')}]`
      : '';
    const { sizes } = analysis;
    const atMost = level.posterior.variance.mean;
    const limit = sizes.map((n) => (atMost < nilVariance ? Infinity : level.inequality.asymptote.mean / n));
    return {
      title: `σ = ${shown(level.sigma)}, ${phaseAt(analysis, level, borders)}${slope}`,
      xLabel: 'references n',
      yLabel: 'Tr Cov of the target',
      logX: true,
      logY: true,
      series: [
        ...(atMost < nilVariance ? [] : [{ name: 'DSM', x: sizes, y: sizes.map(() => atMost), kind: 'dsm' as const }]),
        curve('without the source', level.withoutSource, 'trace', { kind: 'samples' }),
        curve('stable target, with the source', level.withSource, 'trace', { kind: 'stf' }),
        // Above DSM's variance the law of large n does not hold yet.
        {
          name: 'law 1/n',
          x: sizes.filter((_, i) => limit[i] < 3 * atMost),
          y: limit.filter((each) => each < 3 * atMost),
          shape: 'law' as const,
        },
      ].filter(({ x }) => x.length > 0),
    };
  });
  return panelFigure({
    title: 'Covariance of the stable target',
    subtitle: subtitleOf(analysis, subject, analysis.levels[0].posterior.images),
    panels,
  });
}

/** Bias against n: with the source within its error of 0, without it falling. */
export function biasFigure(analysis: TargetAnalysis, subject: ReportSubject): string {
  const borders = bordersOf(analysis);
  const panels = chosenLevels(analysis).map((level): LinePanel => {
    return {
      title: `σ = ${shown(level.sigma)}, ${phaseAt(analysis, level, borders)}`,
      xLabel: 'references n',
      yLabel: 'squared bias of the target',
      logX: true,
      series: [
        curve('without the source', level.withoutSource, 'biasSquared', { kind: 'samples' }),
        curve('stable target, with the source', level.withSource, 'biasSquared', { kind: 'stf' }),
      ],
    };
  });
  return panelFigure({
    title: 'Bias of the stable target',
    subtitle: `${subtitleOf(analysis, subject, analysis.levels[0].posterior.images)}; an unbiased estimate of a square may be negative`,
    panels,
  });
}

/** One row a noise level and size. */
export function targetsTable(analysis: TargetAnalysis): Table {
  const borders = bordersOf(analysis);
  const columns = [
    ['sigma', 'σ'],
    ['phase', 'phase'],
    ['references', 'n'],
    ['dsm_trace', 'DSM Tr Cov'],
    ['trace', 'Tr Cov'],
    ['trace_se', '±'],
    ['bias_squared', '|bias|²'],
    ['bias_squared_se', '±'],
    ['mean_square', 'mean square'],
    ['effective', 'effective n'],
    ['trace_without', 'Tr Cov, no source'],
    ['trace_without_se', '±'],
    ['bias_squared_without', '|bias|², no source'],
    ['bias_squared_without_se', '±'],
    ['law', 'limit / n'],
    ['bound', 'bound / n'],
  ].map(([key, heading]) => ({ key, heading }));
  const rows = analysis.levels.flatMap((level) => {
    const { asymptote, variance, divergenceTerm } = level.inequality;
    const shared = { sigma: level.sigma, phase: phaseAt(analysis, level, borders), dsm_trace: variance.mean };
    const sized = level.withSource.map((each, i) => {
      const without = level.withoutSource[i];
      return {
        ...shared,
        references: each.references,
        trace: each.trace.mean,
        trace_se: each.trace.standardError,
        bias_squared: each.biasSquared.mean,
        bias_squared_se: each.biasSquared.standardError,
        mean_square: each.meanSquare.mean,
        effective: each.effective,
        trace_without: without.trace.mean,
        trace_without_se: without.trace.standardError,
        bias_squared_without: without.biasSquared.mean,
        bias_squared_without_se: without.biasSquared.standardError,
        law: asymptote.mean / each.references,
        bound: (variance.mean + divergenceTerm.mean) / each.references,
      };
    });
    // Over the whole data set the target is the exact posterior mean.
    const nothing = Object.fromEntries(
      columns.map(({ key }) => [key, key === 'law' || key === 'bound' ? NaN : 0]),
    ) as Record<string, number>;
    return [...sized, { ...nothing, ...shared, references: 'all', effective: level.posterior.effectiveSources.mean }];
  });
  return { columns, rows };
}

/** Slopes of the covariance in log-log, one row a noise level. */
export function slopesTable(analysis: TargetAnalysis): Table {
  const borders = bordersOf(analysis);
  return {
    columns: [
      ['sigma', 'σ'],
      ['phase', 'phase'],
      ['slope', 'slope'],
      ['slope_low', '95 % from'],
      ['slope_high', 'to'],
      ['limit', 'limit of n Tr Cov'],
      ['dsm_trace', 'DSM Tr Cov'],
      ['divergence_term', 'divergence term'],
      ['limit_over_bound', 'limit / bound'],
    ].map(([key, heading]) => ({ key, heading })),
    rows: analysis.levels.map((level) => {
      const { asymptote, variance, divergenceTerm } = level.inequality;
      return {
        sigma: level.sigma,
        phase: phaseAt(analysis, level, borders),
        slope: level.slope?.slope ?? NaN,
        slope_low: level.slope?.interval[0] ?? NaN,
        slope_high: level.slope?.interval[1] ?? NaN,
        limit: asymptote.mean,
        dsm_trace: variance.mean,
        divergence_term: divergenceTerm.mean,
        limit_over_bound: asymptote.mean / (variance.mean + divergenceTerm.mean),
      };
    }),
  };
}

/** What the numbers say, phase by phase. */
export function targetsSummary(analysis: TargetAnalysis): string[] {
  const borders = bordersOf(analysis);
  const { sizes, fitted } = analysis;
  const most = sizes[sizes.length - 1];
  return phases.flatMap((phase) => {
    const own = analysis.levels.filter((level) => phaseAt(analysis, level, borders) === phase);
    if (own.length === 0) return [`${phase}: no noise level of the grid.`];
    const average = (value: (level: TargetLevel) => number): number =>
      own.reduce((sum, level) => sum + value(level), 0) / own.length;
    const dsm = average((level) => level.posterior.variance.mean);
    if (dsm < nilVariance) return [`${phase}: neither target varies; the stable target equals DSM's.`];
    // Over one reference the target is DSM's: what its draws miss they miss for all sizes.
    if (sizes[0] === 1 && average((level) => level.withSource[0].trace.mean) < dsm / 2)
      return [`${phase}: too few reference batches to meet the rare sources that its variance comes from.`];
    const share = average((level) => level.withSource[sizes.length - 1].trace.mean) / dsm;
    const slopes = own.flatMap(({ slope }) => (slope ? [slope.slope] : []));
    const slope =
      slopes.length > 0
        ? ` Tr Cov falls as n^${fixed(slopes.reduce((a, b) => a + b, 0) / slopes.length)} from n = ${fitted[0]} to ${most}.`
        : '';
    return [
      `${phase}: with ${grouped(most)} references the target varies ${shown(share)} times as much as DSM's, over ${own.length} noise ${own.length === 1 ? 'level' : 'levels'}.${slope}`,
    ];
  });
}

import type { TargetAnalysis } from '../../../analysis/index.ts';
import { lineFigure } from '../../../report/line-figure.ts';
import type { Table } from '../../../report/table.ts';
import type { Claim, Verdict } from '../claim.ts';
import { short } from '../comparison.ts';
import { estimateTargets } from '../estimate.ts';
import { seriesOf } from '../figures.ts';
import { measureTargets, phasesOf, targetSettings, targetTable } from '../targets.ts';
import type { TargetSettings } from '../targets.ts';

/** Variance of the target against the number of references. */
export const varianceVsN: Claim<TargetSettings> = {
  name: 'variance-vs-n',
  summary: 'the covariance of the stable target falls with the number of references n',
  statement: 'A reference batch of n lowers the trace of the covariance of the training target, the more the larger n.',
  settings: targetSettings,
  trainings: () => [],
  estimate: (settings, runtime) => estimateTargets(runtime, settings),
  run: async (settings, context) => {
    const analysis = await measureTargets(settings, context);
    const table = targetTable(analysis);
    return {
      tables: { table },
      figures: {
        references: lineFigure({
          title: 'Variance of the stable target against the number of references',
          subtitle: `Relative to DSM at the same noise level; ${settings.images} noisy images a level, band ± 1 standard error`,
          xLabel: 'references n',
          yLabel: 'Tr Cov of the target / that of DSM',
          logX: true,
          logY: true,
          series: seriesOf(visible(table), { x: 'references', y: 'trace', error: 'traceError', by: 'level' }),
        }),
      },
      verdict: verdictOf(analysis, table),
    };
  },
};

/** Rows at noise levels where DSM's target varies. */
const visible = (table: Table): Table => ({ ...table, rows: table.rows.filter(({ phase }) => phase !== 'near') });

function verdictOf(analysis: TargetAnalysis, { rows }: Table): Verdict {
  const levels = phasesOf(analysis)
    .map((phase, l) => ({ phase, sigma: analysis.levels[l].sigma }))
    .filter(({ phase }) => phase !== 'near')
    .map((level) => ({ ...level, own: rows.filter(({ sigma }) => sigma === level.sigma) }));
  const of = (row: (typeof rows)[number], key: string): number => Number(row[key]);
  const falls = levels.every(({ own }) =>
    own
      .slice(1)
      .every(
        (row, k) =>
          of(row, 'trace') <= of(own[k], 'trace') + 2 * Math.hypot(of(row, 'traceError'), of(own[k], 'traceError')),
      ),
  );
  const isBelow =
    levels.length > 0 && levels.every(({ own }) => of(own.at(-1)!, 'trace') + 2 * of(own.at(-1)!, 'traceError') < 1);
  return {
    outcome: falls && isBelow ? 'shown' : isBelow ? 'partly shown' : 'not shown',
    rule: 'Shown if at every noise level of the intermediate and the far phase the trace never rises with n by more than two standard errors, and with the most references is more than two standard errors below that of DSM; partly shown if only the latter holds.',
    because: levels
      .map(({ sigma, phase, own }) => {
        const last = own.at(-1)!;
        return `At σ = ${sigma} (${phase}) ${String(last.references)} references leave ${short(100 * of(last, 'trace'), 2)} % of DSM's variance (± ${short(100 * of(last, 'traceError'), 2)}).`;
      })
      .join(' '),
  };
}

import { nilVariance } from '../../../analysis/index.ts';
import type { TargetAnalysis } from '../../../analysis/index.ts';
import { lineFigure } from '../../../report/line-figure.ts';
import type { Table } from '../../../report/table.ts';
import type { Claim, Verdict } from '../claim.ts';
import { short } from '../comparison.ts';
import { estimateTargets } from '../estimate.ts';
import { seriesOf } from '../figures.ts';
import { measureTargets, phasesOf, targetSettings, targetTable } from '../targets.ts';
import type { TargetSettings } from '../targets.ts';

/** Consistency: bias and covariance go to zero, and at the rate 1 / n. */
export const consistency: Claim<TargetSettings> = {
  name: 'consistency',
  summary: 'bias and covariance of the stable target go to zero, the covariance as 1/n',
  statement:
    'As the reference batch grows the stable target tends to the exact score: bias and trace of the covariance go to zero, the latter as 1 / n.',
  settings: targetSettings,
  trainings: () => [],
  estimate: (settings, runtime) => estimateTargets(runtime, settings),
  run: async (settings, context) => {
    const analysis = await measureTargets(settings, context);
    const table = targetTable(analysis);
    const slopes = slopeTable(analysis);
    const scaled: Table = {
      ...table,
      rows: table.rows
        .filter(({ phase }) => phase !== 'near')
        .map((row) => ({
          ...row,
          nTrace: Number(row.references) * Number(row.trace),
          nTraceError: Number(row.references) * Number(row.traceError),
        })),
    };
    return {
      tables: { table: slopes, errors: table },
      figures: {
        rate: lineFigure({
          title: 'n times the variance of the stable target levels off',
          subtitle: 'A flat curve is the 1 / n law; band ± 1 standard error',
          xLabel: 'references n',
          yLabel: 'n · Tr Cov of the target / that of DSM',
          logX: true,
          logY: true,
          series: seriesOf(scaled, { x: 'references', y: 'nTrace', error: 'nTraceError', by: 'level' }),
        }),
        bias: lineFigure({
          title: 'Squared bias of the target without its source among the references',
          subtitle: 'With the source there is none at any n; what is not positive leaves a gap',
          xLabel: 'references n',
          yLabel: 'bias² / variance of DSM',
          logX: true,
          logY: true,
          series: seriesOf(scaled, { x: 'references', y: 'biasWithout', error: 'biasWithoutError', by: 'level' }),
        }),
      },
      verdict: verdictOf(analysis, table),
    };
  },
};

function slopeTable(analysis: TargetAnalysis): Table {
  const found = phasesOf(analysis);
  return {
    columns: [
      { key: 'sigma', heading: 'σ' },
      { key: 'phase', heading: 'phase' },
      { key: 'slope', heading: 'slope of ln Tr Cov over ln n' },
      { key: 'low', heading: '95 % from' },
      { key: 'high', heading: 'to' },
      { key: 'fitted', heading: 'fitted over n' },
      { key: 'bias', heading: 'largest |bias²| / s.e., source among the references' },
      { key: 'effective', heading: 'effective references at the largest n' },
    ],
    rows: analysis.levels.map(({ sigma, slope, withSource }, l) => ({
      ...{ sigma, phase: found[l], slope: slope?.slope ?? NaN, low: slope?.interval[0] ?? NaN },
      high: slope?.interval[1] ?? NaN,
      fitted: `${analysis.fitted[0]} to ${analysis.fitted.at(-1)!}`,
      bias: Math.max(...withSource.map(biasInErrors)),
      effective: withSource.at(-1)!.effective,
    })),
  };
}

/** In the near phase all targets are the exact one, and what differs is float32, at every noisy image alike. */
const biasInErrors = ({
  biasSquared: { mean, standardError },
}: TargetAnalysis['levels'][number]['withSource'][number]) =>
  Math.abs(mean) < nilVariance || !(standardError > 0) ? 0 : Math.abs(mean) / standardError;

/** Within this of -1 a slope is that of 1 / n. */
const tolerance = 0.1;

function verdictOf(analysis: TargetAnalysis, { rows }: Table): Verdict {
  const found = phasesOf(analysis);
  const far = analysis.levels.filter((_, l) => found[l] === 'far');
  const isRate =
    far.length > 0 &&
    far.every(
      ({ slope }) => slope !== null && slope.interval[0] - tolerance <= -1 && slope.interval[1] + tolerance >= -1,
    );
  const tested = analysis.levels.flatMap(({ withSource }) => withSource.map(biasInErrors));
  // Of so many tests some exceed two standard errors by chance; 3.5 has a chance of 1 in 2000 in each.
  const isUnbiased = tested.every((each) => each < 3.5);
  const last = rows.filter(({ references, phase }) => references === analysis.sizes.at(-1) && phase !== 'near');
  return {
    outcome: isRate && isUnbiased ? 'shown' : isRate || isUnbiased ? 'partly shown' : 'not shown',
    rule: `Shown if in the far phase the 95 % interval of the slope comes within ${tolerance} of -1, and the squared bias with the source among the references is nowhere more than 3.5 standard errors from 0; partly shown if one of the two holds. In the intermediate phase the 1 / n law begins where n exceeds the number of images that the posterior lies on by far, and n may be too small for it.`,
    because: `Slopes: ${analysis.levels
      .map(
        ({ sigma, slope }, l) =>
          `σ = ${sigma} (${found[l]}) ${slope ? `${short(slope.slope)} (${short(slope.interval[0])} to ${short(slope.interval[1])})` : 'nothing to fit'}`,
      )
      .join(
        '; ',
      )}. The largest of ${tested.length} squared biases is ${short(Math.max(...tested), 2)} standard errors from 0. At n = ${analysis.sizes.at(-1)!} without the source, bias² is ${last
      .map(({ sigma, biasWithout }) => `${short(100 * Number(biasWithout), 2)} % (σ = ${String(sigma)})`)
      .join(', ')} of DSM's variance.`,
  };
}

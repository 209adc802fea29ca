import type { GradientComparison } from '../training/index.ts';
import { panelFigure } from './line-figure.ts';
import type { LinePanel } from './line-figure.ts';
import type { Table } from './table.ts';

/** Objectives of a comparison as they are called in tables and figures. */
const objectives = [
  ['DSM', 'dsm'],
  ['STF', 'stf'],
] as const;

/** What the optimiser feels under both objectives, a row for each range of noise levels and objective. */
export function gradientTable(comparisons: readonly GradientComparison[]): Table {
  return {
    columns: [
      { key: 'range', heading: 'noise levels' },
      { key: 'sigmaMin', heading: 'from σ' },
      { key: 'sigmaMax', heading: 'to σ' },
      { key: 'objective', heading: 'objective' },
      { key: 'variance', heading: 'Tr Cov of the gradient' },
      { key: 'varianceError', heading: '± s.e.' },
      { key: 'signal', heading: 'squared expected gradient' },
      { key: 'signalError', heading: '± s.e.' },
      { key: 'noiseScale', heading: 'noise scale (samples)' },
      { key: 'noiseScaleError', heading: '± s.e.' },
      { key: 'ratio', heading: 'Tr Cov, STF / DSM' },
      { key: 'ratioError', heading: '± s.e.' },
    ],
    rows: comparisons.flatMap((comparison) =>
      objectives.map(([objective, key]) => {
        const { range, levels, ratio } = comparison;
        const { variance, signal, noiseScale } = comparison[key];
        return {
          ...{ range, sigmaMin: levels[0], sigmaMax: levels[1], sigma: Math.sqrt(levels[0] * levels[1]), objective },
          ...{ variance: variance.value, varianceError: variance.error },
          ...{ signal: signal.value, signalError: signal.error },
          ...{ noiseScale: noiseScale.value, noiseScaleError: noiseScale.error },
          ...{ ratio: ratio.value, ratioError: ratio.error },
        };
      }),
    ),
  };
}

/** Variance of the gradient and noise scale in each range of noise levels, at its middle. */
export function gradientFigure(
  comparisons: readonly GradientComparison[],
  { data, kimg, batch, references }: { data: string; kimg: number; batch: number; references: number },
): string {
  const ranges = comparisons.filter(({ range }) => range !== 'all');
  const table = gradientTable(ranges.length > 0 ? ranges : comparisons);
  const panel = (title: string, yLabel: string, key: string): LinePanel => ({
    title,
    xLabel: 'noise level σ, middle of the range',
    yLabel,
    logX: true,
    logY: true,
    series: objectives.map(([objective, kind]) => {
      const rows = table.rows.filter((row) => row.objective === objective);
      const column = (name: string): number[] => rows.map((row) => Number(row[name]));
      return { name: objective, kind, x: column('sigma'), y: column(key), error: column(`${key}Error`), shape: 'dots' };
    }),
  });
  return panelFigure({
    title: 'What the optimiser feels',
    subtitle: `${data} after ${kimg} kimg, mini-batches of ${batch}, STF with ${references} references; ± 1 standard error`,
    panels: [
      panel('Variance of the gradient', 'Tr Cov', 'variance'),
      panel('Gradient noise scale', 'samples', 'noiseScale'),
    ],
  });
}

/** What the table says, in sentences. */
export function gradientSummary(comparisons: readonly GradientComparison[], references: number): string[] {
  return comparisons.map(({ range, levels, dsm, stf, ratio }) => {
    const where = range === 'all' ? 'All noise levels' : `${range} noise, σ from ${levels.map(shown).join(' to ')}`;
    const differs = Math.abs(1 - ratio.value) > 2 * ratio.error;
    const much = `${shown(ratio.value)} ± ${shown(ratio.error)} times that of DSM's`;
    return `${where}: the variance of the gradient with ${references} references is ${much}${differs ? '' : ', no difference beyond two standard errors'}; noise scale ${inWords(dsm.noiseScale)} (DSM), ${inWords(stf.noiseScale)} (STF).`;
  });
}

/** A noise scale with its standard error; one that is not two of them above 0 says nothing but that more draws are needed. */
function inWords({ value, error }: GradientComparison['dsm']['noiseScale']): string {
  const text = `${shown(value)} ± ${shown(error)} samples`;
  return value > 2 * error ? text : `${text}, not resolved`;
}

const shown = (value: number): string => String(Number(value.toPrecision(3)));

import type { GradientComparison } from '../training/index.ts';
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

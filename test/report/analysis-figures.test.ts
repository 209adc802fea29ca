import { beforeAll, describe, expect, test } from 'vitest';
import { analyzePhases, analyzeTargets, logSpaced } from '../../src/analysis/index.ts';
import type { PhaseAnalysis, PhaseLevel, TargetAnalysis } from '../../src/analysis/index.ts';
import { toyDataset } from '../../src/data/toy.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { svgToPng } from '../../src/node/raster.ts';
import { panelFigure } from '../../src/report/line-figure.ts';
import type { LineFigureData } from '../../src/report/line-figure.ts';
import { phaseAdvice, phasesFigure, phasesTable } from '../../src/report/phase-report.ts';
import { pictureTable } from '../../src/report/picture-table.ts';
import { figureData } from '../../src/report/figure-data.ts';
import { tableCsv } from '../../src/report/table.ts';
import {
  biasFigure,
  covarianceFigure,
  slopesTable,
  targetsSummary,
  targetsTable,
} from '../../src/report/target-report.ts';

/*
 * What a figure shows is what its table says: numbers are read back out of the SVG and out of the CSV.
 */
const runtime = nodeRuntime({ threads: 1 });
const dataset = toyDataset('eightGaussians', { length: 200, seed: 0, dimension: 2 });
const subject = { data: 'eight-gaussians', process: 'VP', scale: (sigma: number) => 1 / Math.hypot(1, sigma) };

/** Columns of a CSV by name. */
function columns(csv: string): Record<string, string[]> {
  const [heading, ...rows] = csv
    .trimEnd()
    .split('\n')
    .map((line) => line.split(','));
  return Object.fromEntries(heading.map((name, i) => [name, rows.map((row) => row[i])]));
}

const dataOf = (svg: string): LineFigureData['panels'] => (figureData(svg) as LineFigureData).panels;

const curveOf = (panel: LineFigureData['panels'][number], name: string) => {
  const found = panel.series.find((each) => each.name === name);
  if (!found) throw new Error(`no curve "${name}" among ${panel.series.map((each) => each.name).join(', ')}`);
  return found;
};

describe('phases', () => {
  let analysis: PhaseAnalysis;
  beforeAll(async () => {
    analysis = await analyzePhases(runtime, dataset, { sigmas: logSpaced(0.001, 50, 8), images: 16, seed: 0 });
  });

  test('curves and their bands are the columns of the table', () => {
    const svg = phasesFigure(analysis, subject);
    const csv = columns(tableCsv(phasesTable(analysis, subject)));
    const panels = dataOf(svg);
    const numbers = (name: string): number[] => csv[name].map(Number);
    const expected: readonly [number, string, string][] = [
      [1, 'to nearest point mass', 'tv_to_point'],
      [1, 'to prior', 'tv_to_prior'],
      [2, 'mean 1/Σw²', 'effective_sources'],
      [3, 'nearest sample is the source', 'nearest_is_source'],
      [3, 'posterior weight of the source', 'source_weight'],
    ];
    for (const [panel, curve, column] of expected) {
      const { x, y, error } = curveOf(panels[panel], curve);
      expect(x).toEqual(numbers('sigma'));
      expect(y).toEqual(numbers(column));
      expect(error).toEqual(numbers(`${column}_se`));
    }
    expect(curveOf(panels[2], 'median').y).toEqual(numbers('median_sources'));
    for (const form of ['denoiser', 'noise', 'score']) {
      const { y } = curveOf(panels[0], form);
      const column = numbers(`variance_${form}`);
      const most = Math.max(...column);
      // A product in another order: some roundings.
      y.forEach((value, i) => expect(Math.abs(value! - column[i] / most)).toBeLessThan(1e-12));
    }
  });

  test('the shaded ranges are the phases of the table', () => {
    const [{ ranges }] = dataOf(phasesFigure(analysis, subject));
    expect(ranges.map(({ label }) => label)).toEqual(['near', 'intermediate', 'far']);
    const { sigma, phase } = columns(tableCsv(phasesTable(analysis, subject)));
    sigma.forEach((each, i) => {
      const range = ranges.find(({ from, to }) => Number(each) >= from && Number(each) <= to);
      expect(range?.label).toBe(phase[i]);
    });
  });

  test('the advice names the borders and the shares', () => {
    const shares = { near: 0.94, intermediate: 0.05, far: 0.01 };
    const text = phaseAdvice(analysis, subject, [{ process: 'EDM', shares }]).join('\n');
    expect(text).toContain(`σ < ${Number(analysis.borders.lower!.toPrecision(3))}`);
    expect(text).toContain(
      '94 % near,  5.0 % intermediate,  1.0 % far: the stable target can help in 6.0 % of the draws',
    );
  });
});

test('the noise level of the largest score variance is that of the process', () => {
  // Over s² σ⁴: 10, 1.25 and 0.45 for VE; with s = 1 / √(1 + σ²) of VP 20, 6.2 and 22.7.
  const made = [1, 2, 7].map((sigma, i) => ({ sigma, variance: { mean: [10, 20, 1091][i], standardError: 0 } }));
  const levels = made.map(
    (level) => ({ ...level, distanceToPoint: 0.5, distanceToPrior: 0.5 }) as unknown as PhaseLevel,
  );
  const analysis = { levels, borders: { lower: null, upper: null, threshold: 0.25 }, sources: 2 };
  const lineOf = (scale: (sigma: number) => number) =>
    phaseAdvice(analysis, { scale }, []).find((each) => each.startsWith("The target's variance"));
  expect(lineOf(() => 1)).toContain('σ = 7 for the noise, 1 for the score');
  expect(lineOf(subject.scale)).toContain('σ = 7 for the noise, 7 for the score');
});

describe('targets', () => {
  let analysis: TargetAnalysis;
  beforeAll(async () => {
    const sizes = [1, 4, 16];
    analysis = await analyzeTargets(runtime, dataset, { sigmas: [0.2, 1, 5], sizes, images: 4, batches: 16, seed: 0 });
  });

  test('curves are the columns of the table, and over the whole set nothing is left', () => {
    const csv = columns(tableCsv(targetsTable(analysis)));
    const rowsAt = (sigma: number): number[] =>
      csv.sigma.flatMap((each, i) => (Number(each) === sigma && csv.references[i] !== 'all' ? [i] : []));
    const pick = (name: string, rows: readonly number[]): number[] => rows.map((i) => Number(csv[name][i]));
    const [covariance, bias] = [covarianceFigure(analysis, subject), biasFigure(analysis, subject)].map(dataOf);
    analysis.levels.forEach(({ sigma }, i) => {
      const rows = rowsAt(sigma);
      for (const [curve, ending] of [
        ['stable target, with the source', ''],
        ['without the source', '_without'],
      ]) {
        expect(curveOf(covariance[i], curve).y).toEqual(pick(`trace${ending}`, rows));
        expect(curveOf(covariance[i], curve).error).toEqual(pick(`trace${ending}_se`, rows));
        expect(curveOf(bias[i], curve).y).toEqual(pick(`bias_squared${ending}`, rows));
      }
      expect(curveOf(covariance[i], 'DSM').y).toEqual(pick('dsm_trace', rows));
    });
    csv.references.forEach((references, i) => {
      if (references === 'all') expect([csv.trace[i], csv.bias_squared[i]]).toEqual(['0', '0']);
    });
  });

  test('titles of panels have the slopes of the table', () => {
    const svg = covarianceFigure(analysis, subject);
    for (const { slope } of slopesTable(analysis).rows)
      expect(svg).toContain(`slope ${Number(slope).toFixed(2).replace('-', '−')}`);
    expect(targetsSummary(analysis)).toHaveLength(3);
  });
});

test('panels of different curves have legends of their own, equal ones share one', () => {
  const panel = (names: string[]) => ({
    xLabel: 'x',
    yLabel: 'y',
    series: names.map((name) => ({ name, x: [1, 2], y: [1, 2] })),
  });
  const count = (svg: string): number => svg.match(/class="legend"/g)?.length ?? 0;
  expect(count(panelFigure({ panels: [panel(['a', 'b']), panel(['a', 'b'])] }))).toBe(2);
  expect(count(panelFigure({ panels: [panel(['a', 'b']), panel(['c', 'd'])] }))).toBe(4);
  expect(() => panelFigure({ panels: [] })).toThrow('at least one panel');
});

test('bands end at the axis, gaps are null in the data, and the bytes are the same each time', () => {
  const series = [
    { name: 'a', x: [1, 2, 3], y: [1, NaN, 4], error: [2, 0, 1] },
    { name: 'b', x: [1, 2, 3], y: [2, 3, 4], shape: 'dots' as const, error: [1, 1, 1] },
    { name: 'law', x: [1, 3], y: [1, 3], shape: 'law' as const },
  ];
  const draw = (): string => panelFigure({ panels: [{ xLabel: 'n', yLabel: 'y', logX: true, logY: true, series }] });
  const svg = draw();
  expect(draw()).toBe(svg);
  expect(svg).not.toContain('NaN');
  expect(dataOf(svg)[0].series[0].y).toEqual([1, null, 4]);
  expect(() => svgToPng(svg)).not.toThrow();
});

test('a table of pictures is a standalone document with its captions', () => {
  const href =
    'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==';
  const svg = pictureTable({
    title: 'a < b',
    rows: [
      { label: 'low', cells: [{ href, caption: '90 %', marked: true }, { href }] },
      { label: 'high', cells: [{ href, caption: '1 %' }] },
    ],
  });
  expect(svg.match(/<image /g)).toHaveLength(3);
  expect(svg).toContain('>90 %</text>');
  expect(() => svgToPng(svg)).not.toThrow();
  expect(() => pictureTable({ rows: [] })).toThrow('at least one picture');
});

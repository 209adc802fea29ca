import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { LineFigureData } from '../../src/report/line-figure.ts';
import { figureData } from '../../src/report/figure-data.ts';
import { gradientSummary } from '../../src/report/gradient-report.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';

const folder = temporaryFolder();

test('gradients of a run: the figure has the numbers of the table, and at low noise both objectives agree', async () => {
  await stf([...tinyRun, '--outdir', folder.join('runs')]);
  const [run] = folder.list().filter((path) => /^runs\/[^/]+$/.test(path));
  const { code, stdout } = await stf([
    ...['analyze', 'gradients', folder.join(run), '--batches', '16', '--batch', '8', '--reference-batch', '64'],
    ...['--threads', '1', '--dest', folder.join('gradients')],
  ]);
  expect(code).toBe(0);
  expect(stdout).toContain('| noise levels | from σ |');
  const [head, ...lines] = readFileSync(folder.join('gradients', 'gradients.csv'), 'utf8').trimEnd().split('\n');
  const keys = head.split(',');
  const rows = lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [keys[i], cell])));
  expect(rows.map(({ range, objective }) => `${range} ${objective}`)).toEqual(
    ['low', 'mid', 'high', 'all'].flatMap((range) => [`${range} DSM`, `${range} STF`]),
  );
  const svg = readFileSync(folder.join('gradients', 'gradients.svg'), 'utf8');
  const { panels } = figureData(svg) as LineFigureData;
  const drawn = panels.flatMap(({ series }) => series.flatMap(({ y }) => y));
  const told = rows
    .filter(({ range }) => range !== 'all')
    .flatMap(({ variance, noiseScale }) => [variance, noiseScale]);
  const rising = (a: number | null, b: number | null): number => Number(a) - Number(b);
  expect([...drawn].sort(rising)).toEqual(told.map(Number).sort(rising));
  for (const { variance } of rows) expect(Number(variance)).toBeGreaterThan(0);
});

test('what can not be is refused', async () => {
  const gradients = ['analyze', 'gradients'];
  expect((await stf([...gradients, folder.join('nothing')])).code).toBe(2);
  expect((await stf([...gradients, 'x', '--batches', '12'])).stderr).toContain(
    '--batches must be a multiple of 8, got 12.',
  );
});

test('a noise scale that is not two standard errors above 0 is called not resolved', () => {
  const known = { value: 1, error: 0.1 };
  const noise = (value: number, error: number) => ({ variance: known, signal: known, noiseScale: { value, error } });
  const comparison = {
    range: 'all',
    levels: [0.1, 9],
    dsm: noise(-4460, 9000),
    stf: noise(210, 20),
    ratio: known,
  } as const;
  expect(gradientSummary([comparison], 64)[0]).toMatch(
    /; noise scale -4460 ± 9000 samples, not resolved \(DSM\), 210 ± 20 samples \(STF\)\.$/,
  );
});

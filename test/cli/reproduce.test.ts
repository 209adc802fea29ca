import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { phaseThreshold } from '../../src/analysis/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { consistency } from '../../src/node/reproduce/claims/consistency.ts';
import { claims, scales } from '../../src/node/reproduce/index.ts';
import type { LineFigureData } from '../../src/report/line-figure.ts';
import { figureData } from '../../src/report/figure-data.ts';
import { stf, temporaryFolder } from './support.ts';

const folder = temporaryFolder();
const smoke = (claim: string, dest: string) => [
  ...['reproduce', claim, '--scale', 'smoke', '--threads', '1', '--dest', dest],
];

/** The numbers of a CSV file by column; text is left as it is. */
function readTable(file: string): Record<string, (number | string)[]> {
  const [head, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
  // The only cells in quotes are texts with commas between other cells.
  const cells = lines.map((line) =>
    [...line.matchAll(/"((?:[^"]|"")*)"|([^,]+)/g)].map(([, quoted, plain]) => quoted ?? plain),
  );
  return Object.fromEntries(
    head
      .split(',')
      .map((key, column) => [
        key,
        cells.map((line) =>
          Number.isNaN(Number(line[column])) && line[column] !== 'NaN' ? line[column] : Number(line[column]),
        ),
      ]),
  );
}

describe.each(claims.map(({ name }) => name))('%s at scale smoke', (claim) => {
  test('writes figures that hold numbers of its tables, and a verdict that claims nothing', async () => {
    const dest = folder.join(claim);
    const { code, stdout, stderr } = await stf(smoke(claim, dest));
    expect({ code, stderr: stderr.split('\n').filter((line) => line !== '' && !line.startsWith('[')) }).toEqual({
      code: 0,
      stderr: [],
    });
    expect(stdout).toMatch(/(Shown|Partly shown|Did NOT show) at scale smoke, which proves nothing\./);
    expect(stdout).toContain('Rule: ');

    const files = folder.list().map((file) => file.slice(claim.length + 1));
    const tables = files.filter((file) => file.endsWith('.csv')).map((file) => readTable(`${dest}/${file}`));
    const columns = tables.flatMap((table) => Object.values(table));
    const figures = files.filter((file) => file.endsWith('.svg')).map((file) => file.slice(0, -4));
    expect(figures.length).toBeGreaterThan(0);
    for (const figure of figures) {
      expect(files).toContain(`${figure}.png`);
      const { panels } = figureData(readFileSync(`${dest}/${figure}.svg`, 'utf8')) as LineFigureData;
      for (const { x, y, error = [] } of panels.flatMap(({ series }) => series)) {
        expect(x.length).toBe(y.length);
        for (const values of [x, y, error]) {
          // Every number of a curve stands in a column of a table, or is made of such numbers as the axis says.
          const isTold = (value: number | null): boolean =>
            value === null ||
            value === phaseThreshold ||
            columns.some((column) => column.includes(value)) ||
            isProduct(tables, value) ||
            tables.some((table) => isDerived(table, value));
          expect(values.filter((value) => !isTold(value))).toEqual([]);
        }
      }
    }
    const options = JSON.parse(readFileSync(`${dest}/options.json`, 'utf8')) as Record<string, unknown>;
    expect(options).toMatchObject({ claim, scale: 'smoke', versions: { node: process.version, threads: 1 } });
    expect(readFileSync(`${dest}/report.md`, 'utf8')).toContain('which proves nothing');
  });
});

const isProduct = (tables: readonly Record<string, (number | string)[]>[], value: number): boolean =>
  tables.some(({ references = [], trace = [], traceError = [] }) =>
    references.some((n, k) => [trace[k], traceError[k]].some((each) => Number(n) * Number(each) === value)),
  );

/** A share of a column's maximum, or of its standard error (target variances); or the exponential of a number (entropies). */
const isDerived = (table: Record<string, (number | string)[]>, value: number): boolean =>
  Object.entries(table).some(([key, column]) => {
    const isNear = (other: number): boolean => Math.abs(value - other) <= 1e-9 * Math.abs(other);
    const most = Math.max(...column.map(Number));
    const shares = [...column, ...(table[`${key}_se`] ?? [])].map((each) => Number(each) / most);
    return shares.some(isNear) || column.some((each) => isNear(Math.exp(Number(each))));
  });

test('a claim that was interrupted goes on where it was, and ends as if it had not been', async () => {
  const whole = await stf(smoke('stability', folder.join('whole')));
  const dest = folder.join('parts');
  const first = await stf(smoke('stability', dest), (text, interrupt) => {
    if (text.includes('ve-stf32-seed0:')) interrupt();
  });
  expect(first.code).toBe(130);
  expect(first.stderr).toContain('interrupted; what was measured is kept');
  const second = await stf(smoke('stability', dest));
  expect(second.code).toBe(0);
  expect(second.stdout).not.toContain('ve-stf32-seed0:'); // not trained again
  expect(second.stdout).toContain('ve-dsm-seed2:');
  const verdict = (text: string): string => /(Shown|Partly|Did NOT).*/.exec(text)![0];
  expect(verdict(second.stdout)).toBe(verdict(whole.stdout));
  for (const table of ['table.csv', 'per-seed.csv', 'curves.csv'])
    expect(readFileSync(`${dest}/${table}`, 'utf8')).toBe(readFileSync(folder.join('whole', table), 'utf8'));
});

test('consistency: where targets do not vary, rounding is no bias', async () => {
  // Planes have a grain of 0.02: at σ = 0.001 each is its own only source, and targets differ from the exact one by 1e-14
  // at every noisy image, which is many standard errors.
  const { tables, verdict } = await consistency.run(
    {
      data: { kind: 'planes', side: 8, length: 300 },
      ...{ sigmas: [0.001, 20], sizes: [1, 16, 64], images: 16, batches: 4, seed: 0 },
    },
    {
      runtime: nodeRuntime({ threads: 1 }),
      folder: folder.join('unused'),
      note: () => undefined,
      begin: () => () => undefined,
      signal: { aborted: false },
    },
  );
  expect(tables.table.rows[0]).toMatchObject({ phase: 'near', bias: 0 });
  expect(Number(tables.errors.rows[0].bias)).not.toBe(0);
  expect(Number(tables.table.rows[1].bias)).toBeGreaterThan(0);
  expect(verdict.outcome).toBe('shown');
});

test('a run that was stopped between the writing of its checkpoint and of its curve is measured again', async () => {
  const dest = folder.join('torn');
  const whole = await stf(smoke('stability', dest));
  expect(whole.code).toBe(0);
  const tables = ['table.csv', 'curves.csv'].map((name) => `${dest}/${name}`);
  const before = tables.map((file) => readFileSync(file, 'utf8'));
  const file = `${dest}/runs/ve-dsm-seed1.json`;
  const curve = JSON.parse(readFileSync(file, 'utf8')) as { points: unknown[] };
  writeFileSync(file, JSON.stringify({ ...curve, points: curve.points.slice(0, -1) }));
  rmSync(`${dest}/runs/ve-stf32-seed1.safetensors`);
  const again = await stf(smoke('stability', dest));
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('ve-stf32-seed1:'); // without its checkpoint it is trained anew
  expect(again.stdout).not.toContain('ve-dsm-seed1:');
  expect(tables.map((name) => readFileSync(name, 'utf8'))).toEqual(before);
});

test('a claim or scale that there is not is refused, with those that there are', async () => {
  const unknown = await stf(['reproduce', 'fid']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('phases');
  expect((await stf(['reproduce', 'speed', '--scale', 'huge'])).stderr).toContain(scales.join(', '));
});

test('the scale paper says how long it takes, and does not start by itself', async () => {
  const { code, stdout, stderr } = await stf([
    ...['reproduce', 'phases', '--scale', 'paper', '--threads', '1', '--dest', folder.join('paper')],
  ]);
  expect(code).toBe(2);
  expect(stdout).toMatch(/^Time: +about \S.* on cpu with 1 threads\.$/m);
  expect(stderr).toMatch(/stf reproduce: --scale paper starts with --yes only\.\n$/);
  expect(folder.list()).toEqual([]);
});

test.each(['variance-vs-n', 'speed'])('there is an estimate of the time of %s', async (name) => {
  const seconds = await claims
    .find((claim) => claim.name === name)!
    .at('smoke')
    .estimate(nodeRuntime({ threads: 1 }));
  expect(seconds).toBeGreaterThan(0);
  // Of scale smoke, with a machine a hundred times slower.
  expect(seconds).toBeLessThan(3600);
});

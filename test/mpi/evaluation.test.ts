import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { constant, input, matmul, reshape, toOnnxForAnyBatch } from '../../src/graph/index.ts';
import { png } from '../node/dataset/support.ts';
import { stf, temporaryFolder, tinyRun } from '../cli/support.ts';
import { testValues } from '../support/random.ts';
import { onlyRun, requireMpirun, start } from './mpirun.ts';

/* The oracle is the same evaluation in one process, digit by digit. */
const folder = temporaryFolder();

interface Report {
  readonly rows: readonly { readonly numbers: Record<string, number>; readonly nfe?: number }[];
}

/** The report of an evaluation in two ranks, after comparing it with that of one process. */
async function evaluateInTwo(argv: readonly string[]): Promise<Report> {
  const all = ['evaluate', ...argv, '--threads', '1', '--no-cache', '--json', '-'];
  const one = await start(0, all, { cwd: folder.path });
  const two = await start(2, all, { cwd: folder.path });
  expect(two.code, two.stderr).toBe(0);
  expect(two.stdout).toBe(one.stdout);
  return JSON.parse(two.stdout) as Report;
}

test('stf evaluate: points that ranks draw in turns have the distances of one process', async (context) => {
  requireMpirun(context);
  expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
  // Five batches: two groups of two, and one that the second rank has no part of.
  const { rows } = await evaluateInTwo([onlyRun(folder.join('runs')), '--samples', '300', '--batch', '64']);
  expect(rows).toHaveLength(1);
  expect(rows[0].numbers.swd).toBeGreaterThan(0);
  expect(rows[0].nfe).toBeGreaterThan(0);
});

test('stf evaluate: features that ranks compute in turns have the distances of one process', async (context) => {
  requireMpirun(context);
  const [side, dimension] = [8, 6];
  const weights = constant(Float32Array.from(testValues(3 * side * side * dimension, [-1, 1], 3)), [192, dimension]);
  const model = toOnnxForAnyBatch(
    (batch) => ({ features: matmul(reshape(input('images', [batch, 3, side, side]), [batch, 192]), weights) }),
    { name: 'features', weights: new Map(), metadata: {} },
  );
  writeFileSync(folder.join('tiny.onnx'), model);
  // Of the samples two parts, the second one short; of the reference one, which only rank 0 works on.
  const counts = Object.entries({ samples: 1000, data: 40 });
  for (const [salt, [name, count]] of counts.entries()) {
    mkdirSync(folder.join(name));
    for (let i = 0; i < count; i++)
      writeFileSync(
        join(folder.path, name, `${String(i).padStart(4, '0')}.png`),
        png(side, side, { salt: salt + i * i }),
      );
  }
  const { rows } = await evaluateInTwo(['samples', '--ref', 'data', '--features', 'tiny.onnx', '--metrics', 'fid,kid']);
  expect(rows[0].numbers.frechetDistance).toBeGreaterThan(0);
});

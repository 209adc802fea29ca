import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { stf, temporaryFolder, tinyRun } from '../cli/support.ts';
import { onlyRun, requireMpirun, start } from './mpirun.ts';

const folder = temporaryFolder();

test('stf sample: the same seeds give the same samples, whichever rank draws them', async (context) => {
  requireMpirun(context);
  const { code } = await stf([...tinyRun, '--outdir', folder.join('runs')]);
  expect(code).toBe(0);
  const sample = ['sample', '--network', onlyRun(folder.join('runs')), '--seeds', '0-20', '--threads', '1'];
  const argv = [...sample, '--batch', '4', '--outdir'];
  await stf([...argv, folder.join('one')]);
  // Three groups of 8 seeds, the last one of 4 and 1.
  const { stderr, stdout } = await start(2, [...argv, 'two'], { cwd: folder.path });
  expect(stderr).toMatch(/^Drawing 21 samples from/);
  expect(stdout).toMatch(/^21 samples in two, \d+ evaluations each/);
  const [ours, theirs] = ['two', 'one'].map((name) => readFileSync(folder.join(name, 'points.csv'), 'utf8'));
  expect(ours).toBe(theirs);
  expect(ours.split('\n')).toHaveLength(23);
});

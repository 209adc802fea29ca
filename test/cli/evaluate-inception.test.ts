import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import { fidWeights } from '../../src/node/inception-weights.ts';
import { png } from '../node/dataset/support.ts';
import { formulaWeights } from '../support/inception-weights.ts';
import { torchLegacy } from '../support/torch-files.ts';
import { stf } from './support.ts';

/*
 * The whole way with the network of FID, its weights given by a formula: few images, since one costs 11 GFLOP. That the
 * features are right is what `npm run parity` compares with the reference.
 */
let folder = '';
let weights = '';
const images = { samples: 6, data: 10 } as const;
const state = formulaWeights(6);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-inception-'));
  weights = join(folder, 'formula.pth');
  writeFileSync(weights, torchLegacy(state));
  for (const [name, count] of Object.entries(images)) {
    mkdirSync(join(folder, name));
    for (let i = 0; i < count; i++)
      writeFileSync(join(folder, name, `${i}.png`), png(16, 16, { salt: i * i + (name === 'data' ? 5 : 0) }));
  }
  vi.stubEnv('STF_CACHE', join(folder, 'cache'));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const evaluate = (...argv: string[]) =>
  stf(['evaluate', join(folder, 'samples'), '--ref', join(folder, 'data'), '--weights', weights, ...argv]);

test('the same digits twice, and for batches of 1, 7 and 64; progress is shown; no published number is claimed', async () => {
  const reports: { rows: { numbers: Record<string, number> }[]; extractor: { sha256: string }; warnings: string[] }[] =
    [];
  const argv = ['--metrics', 'fid,pr,dc', '--no-cache', '--json', '-'];
  for (const batch of ['1', '7', '64', '64']) {
    const { code, stdout, stderr } = await evaluate('--batch', batch, ...argv);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toMatch(/features of 10 images, [\d.]+ img\/s/);
    reports.push(JSON.parse(stdout) as (typeof reports)[number]);
  }
  const [first, ...others] = reports;
  expect(first.rows[0].numbers.fid).toBeGreaterThan(0.01);
  for (const { rows } of others)
    for (const [name, value] of Object.entries(rows[0].numbers))
      // What the acceptance asks for: 1e-6 of the value.
      expect(Math.abs(value - first.rows[0].numbers[name]), name).toBeLessThanOrEqual(1e-6 * Math.abs(value));
  expect(reports[3]).toEqual(reports[2]);
  expect(first.warnings.join(' ')).toContain(`the weights are not ${fidWeights.file}`);
}, 300_000);

test('the Inception Score needs no reference, and enough images to split, which is said before any work', async () => {
  const argv = ['--weights', weights, '--metrics', 'is', '--json', '-'];
  const { code, stdout, stderr } = await stf(['evaluate', join(folder, 'data'), ...argv]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const report = JSON.parse(stdout) as { rows: { numbers: Record<string, number> }[]; reference: null; paper: string };
  expect(report.reference).toBeNull();
  expect(Object.keys(report.rows[0].numbers)).toEqual(['is', 'isStd']);
  // Each of the 10 parts has one image, whose classes are those of the part: exp(0).
  expect(report.rows[0].numbers.is).toBeCloseTo(1, 9);
  expect(report.paper).toMatch(/^IS 1\.0000 ± 0\.0000 \(10 samples of .*data; InceptionV3/);

  const few = await stf(['evaluate', join(folder, 'samples'), ...argv]);
  expect(few).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('--metrics is needs at least 10 images, and') as string,
  });
}, 300_000);

test('weights that are damaged, or those of another network, are named, and nothing is kept of them', async () => {
  const damaged = join(folder, 'damaged.pth');
  writeFileSync(damaged, readFileSync(weights).subarray(0, 80e6));
  const other = join(folder, 'other.safetensors');
  writeFileSync(other, encodeSafetensors(new Map([['fc.bias', state.get('fc.bias')!]])));
  for (const [file, message] of [
    [damaged, /damaged\.pth: not the weights of Inception, or damaged: .*truncated/],
    [other, /other\.safetensors: has no tensor "Conv2d_1a_3x3\.conv\.weight" \[32, 3, 3, 3\]/],
  ] as const) {
    const argv = ['evaluate', join(folder, 'samples'), '--ref', join(folder, 'data'), '--weights', file];
    const { code, stdout, stderr } = await stf(argv);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  }
});

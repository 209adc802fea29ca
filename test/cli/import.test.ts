import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decodeSafetensors } from '../../src/formats/safetensors.ts';
import { stf, temporaryFolder } from './support.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const snapshot = join(fixtures, 'parity/pickles/ncsnpp/network-snapshot-000001.pkl');
const folder = temporaryFolder();

test('a snapshot of EDM is imported, and samples are drawn from it', async () => {
  const out = folder.join('new', 'edm.safetensors');
  const imported = await stf(['import', snapshot, '--out', out]);
  expect(imported).toMatchObject({ code: 0 });
  expect(imported.stdout).toMatch(/song-unet, 48755 parameters, trained for 1\.0 kimg/);
  expect(imported.stderr).toMatch(/no state of the optimiser/);
  const drawn = folder.join('drawn');
  const sampled = await stf([
    'sample',
    '--network',
    out,
    '--seeds',
    '0-1',
    '--steps',
    '2',
    '--threads',
    '1',
    '--outdir',
    drawn,
  ]);
  expect(sampled).toMatchObject({ code: 0 });
  expect(folder.list()).toEqual(expect.arrayContaining([join('drawn', '000000.png'), join('drawn', 'grid.png')]));
});

test('nothing is written over, and nothing is left of a file that is refused', async () => {
  const taken = folder.join('taken.safetensors');
  writeFileSync(taken, 'mine');
  const refused = await stf(['import', snapshot, '--out', taken]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/exists already/);
  expect(readFileSync(taken, 'utf8')).toBe('mine');

  const hostile = folder.join('hostile.pkl');
  writeFileSync(hostile, "cos\nsystem\n(S'true'\ntR.");
  const out = folder.join('out.safetensors');
  const { code, stderr } = await stf(['import', hostile, '--out', out]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^stf import: .*hostile\.pkl: pickle: at byte 0: the pickle asks for "os\.system"/);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(await stf(['import', snapshot, '--out', folder.join('out.pkl')])).toMatchObject({ code: 2 });
  expect(await stf(['import', folder.join('missing.pkl'), '--out', out])).toMatchObject({ code: 2 });
  expect(folder.list()).toEqual(['hostile.pkl', 'taken.safetensors']);
});

test('a network is exported for PyTorch and imported again', async () => {
  const [first, torch, second] = ['first', 'torch', 'second'].map((name) => folder.join(`${name}.safetensors`));
  expect(await stf(['import', snapshot, '--out', first])).toMatchObject({ code: 0 });
  expect(await stf(['export', '--network', first, '--format', 'torch', '--out', torch])).toMatchObject({ code: 0 });
  expect(await stf(['import', torch, '--out', second])).toMatchObject({ code: 0 });
  const { tensors } = decodeSafetensors(readFileSync(second));
  expect(tensors).toEqual(decodeSafetensors(readFileSync(first)).tensors);
  const again = await stf(['export', '--network', first, '--out', torch]);
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/exists already/);
});

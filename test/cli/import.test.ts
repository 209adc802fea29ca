import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { decodeSafetensors } from '../../src/formats/safetensors.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';
import { ddpmpp } from '../../src/networks/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { findCheckpoint } from '../../src/node/run-reader.ts';
import { decodeCheckpoint, exportPyTorch, presets } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { torchZip } from '../support/torch-files.ts';
import { stf, temporaryFolder } from './support.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const snapshot = join(fixtures, 'parity/pickles/ncsnpp/network-snapshot-000001.pkl');
const folder = temporaryFolder();

test('a snapshot of EDM is imported, and samples are drawn from it', async () => {
  const out = folder.join('new', 'edm.safetensors');
  const imported = await stf(['import', snapshot, '--out', out]);
  expect(imported).toMatchObject({ code: 0 });
  expect(imported.stdout).toMatch(/song-unet, 48,755 parameters, trained for 1\.0 kimg/);
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

const hostile: Record<string, [bytes: Uint8Array, message: RegExp]> = {
  'a length of 2^60': [
    Uint8Array.of(0x80, 4, 0x8e, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x2e),
    /at byte 2: 1152921504606846976 bytes should follow, but 1 byte remains/,
  ],
  '10,000 levels': [Buffer.from(`${'('.repeat(10_000)}${'t'.repeat(10_000)}.`), /nested more than 1000 levels deep/],
  'a name behind a call': [Buffer.from("cposix\nsystem\n(S'true'\ntR."), /asks for "posix\.system"/],
  'a truncated snapshot': [readFileSync(snapshot).subarray(0, 50_000), /truncated or damaged\?/],
};

test.each(Object.keys(hostile))('%s is refused with one line', async (name) => {
  const [bytes, message] = hostile[name];
  const file = folder.join('hostile.pkl');
  writeFileSync(file, bytes);
  const { code, stdout, stderr } = await stf(['import', file, '--out', folder.join('out.safetensors')]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^stf import: .*hostile\.pkl: .*\n$/);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(folder.list()).toEqual(['hostile.pkl']);
});

describe('a state dict', () => {
  const { state } = readTorchCheckpoint(readFileSync(snapshot)).ema!;
  const write = (): string => {
    const file = folder.join('weights.pth');
    writeFileSync(file, torchZip(state));
    return file;
  };
  const outs = (): string[] => ['a', 'b', 'c'].map((name) => folder.join(`${name}.safetensors`));
  const optionsOf = (file: string): TrainingOptions => decodeCheckpoint(readFileSync(file), file).options;

  test('is imported with the preconditioning that is asked for, and says what is assumed', async () => {
    const [assumed, chosen] = outs();
    const first = await stf(['import', write(), '--out', assumed]);
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(/weights\.pth: A state dict does not tell its preconditioning: edm .* is assumed/);
    expect(optionsOf(assumed).denoiser.preconditioning).toEqual({ kind: 'edm', sigmaData: 0.5 });
    const second = await stf(['import', write(), '--precond', 've', '--out', chosen]);
    expect(second.code).toBe(0);
    expect(second.stderr).not.toContain('preconditioning');
    expect(optionsOf(chosen).denoiser.preconditioning).toEqual({ kind: 've', sigmaMin: 0.02, sigmaMax: 100 });
    expect(await stf(['import', write(), '--precond', 'none', '--out', folder.join('d.safetensors')])).toMatchObject({
      code: 2,
    });
  });

  test('takes its configuration from a checkpoint, or from a file of PyTorch', async () => {
    const [ours, fromOurs, fromPyTorch] = outs();
    expect((await stf(['import', snapshot, '--out', ours])).code).toBe(0);
    expect((await stf(['import', write(), '--network-of', ours, '--out', fromOurs])).code).toBe(0);
    expect((await stf(['import', write(), '--network-of', snapshot, '--out', fromPyTorch])).code).toBe(0);
    for (const file of [fromOurs, fromPyTorch]) {
      expect(optionsOf(file).denoiser).toEqual(optionsOf(ours).denoiser);
      expect(decodeSafetensors(readFileSync(file)).tensors).toEqual(decodeSafetensors(readFileSync(ours)).tensors);
    }
    const overruled = await stf(['import', snapshot, '--precond', 've', '--out', folder.join('d.safetensors')]);
    expect(overruled).toMatchObject({ code: 2, stderr: expect.stringContaining('--precond are for state dicts') });
  });
});

describe('training goes on from an imported network', () => {
  const out = (): string => folder.join('imported.safetensors');
  const resume = (): string[] => ['train', '--resume', out(), '--outdir', folder.join('runs'), '--dry-run'];

  test('in a run of its own', async () => {
    const recipe = presets['cifar10-edm-ddpmpp'];
    const small = { modelChannels: 8, channelMult: [1, 2], blocks: 1, attentionResolutions: [16] };
    const denoiser = { ...recipe.denoiser, network: { ...ddpmpp, ...small } };
    const table = parameterTable((source) => makeDenoiser(source, denoiser));
    const weights = initialize(table, 1);
    const vectors = { weights, ema: weights, 'adam.m': weights, 'adam.v': weights };
    writeFileSync(
      folder.join('official-000100.safetensors'),
      exportPyTorch({ options: { ...recipe, denoiser }, table, vectors }),
    );
    expect(await stf(['import', folder.join('official-000100.safetensors'), '--out', out()])).toMatchObject({
      code: 0,
    });
    const { code, stdout, stderr } = await stf([
      ...resume(),
      '--objective',
      'dsm',
      '--duration',
      '0.15',
      '--batch',
      '64',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/Resumes: .*imported\.safetensors: 100\.0 of 150 kimg done, 50\.0 kimg remain/);
    expect(stdout).toMatch(/Run folder: .*00000-cifar10-uncond-ddpmpp-edm-dsm-batch64-fp32/);
  });

  test('on images of its size only', async () => {
    expect(await stf(['import', snapshot, '--out', out()])).toMatchObject({ code: 0 });
    const message =
      'stf train: --data cifar10: the network of the checkpoint is for samples of shape [3, 16, 16], and these have [3, 32, 32].\n';
    expect(await stf(resume())).toMatchObject({ code: 2, stderr: message });
  });
});

test('a network is exported for PyTorch and imported again', async () => {
  const [first, torch, second] = ['first', 'torch', 'second'].map((name) => folder.join(`${name}.safetensors`));
  expect(await stf(['import', snapshot, '--out', first])).toMatchObject({ code: 0 });
  expect(await stf(['export', '--network', first, '--format', 'torch', '--out', torch])).toMatchObject({ code: 0 });
  expect(await stf(['import', torch, '--out', second])).toMatchObject({ code: 0 });
  const { tensors } = decodeSafetensors(readFileSync(second));
  expect(tensors).toEqual(decodeSafetensors(readFileSync(first)).tensors);
  // The file says how many images the network has seen.
  const kimg = async (path: string): Promise<number> => (await findCheckpoint(path)).checkpoint.progress.nimg / 1000;
  expect([await kimg(first), await kimg(second)]).toEqual([1, 1]);
  const again = await stf(['export', '--network', first, '--out', torch]);
  expect(again.code).toBe(2);
  expect(again.stderr).toMatch(/exists already/);
});

test('a file of another kind is answered with the kinds that are read', async () => {
  const file = folder.join('hostname');
  writeFileSync(file, 'vm\n');
  expect(await stf(['import', file, '--out', folder.join('out.safetensors')])).toEqual({
    code: 2,
    stdout: '',
    stderr: `stf import: ${file}: no checkpoint of PyTorch. Read are pickles (.pkl), files of torch.save (.pt, .pth) and .safetensors.\n`,
  });
});

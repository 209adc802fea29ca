import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { alteredCopy, moveLargest } from './altered-copy.ts';
import type { Altered } from './altered-copy.ts';
import { parity } from './command.ts';
import { ParityFolder } from './folder.ts';
import type { FileReport } from './report.ts';
import { checkFolder } from './run-folder.ts';

/*
 * The oracle is the reference implementations themselves, run in PyTorch (test/fixtures/parity/README.md). The
 * tolerances and their reasons are in tolerance.ts. The second half proves that the command can fail.
 */
const fixtures = fileURLToPath(new URL('../fixtures/parity', import.meta.url));
const runtime = nodeRuntime({ threads: 2 });

async function reportsOf(path: string): Promise<FileReport[]> {
  const reports: FileReport[] = [];
  await checkFolder(runtime, new ParityFolder(path), (report) => reports.push(report));
  return reports;
}

/** Runs the command and keeps what it writes. */
async function run(...args: string[]): Promise<{ code: number; out: string[]; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await parity(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out, err: err.join('\n') };
}

describe('reference data', () => {
  test.each<[folder: string, leastValues: Record<string, number>]>([
    [
      'networks',
      {
        b_edm_ncsnpp: 20,
        f_edm_ddpmpp_cond_aug: 20,
        block_plain_down_attn: 24,
        tables_vp: 7,
        tables_ve: 5,
        tables_iddpm: 8,
      },
    ],
    ['loss', { f_edm_stf_cond_aug: 157, images: 0 }],
    ['stf', { duplicates: 7, b2_n3: 7, images: 0, inputs: 0 }],
    [
      'pickles',
      {
        'ncsnpp/network-snapshot-000001.pkl': 460,
        'ncsnpp/network-snapshot-000001.pkl.expected.safetensors': 0,
        'ddpmpp/training-state-000001.pt': 740,
        'ddpmpp/training-state-000001.pt.expected.safetensors': 0,
      },
    ],
    ['samplers-sde', { sde_ve: 20, sde_vp: 20, sde_subvp: 16 }],
    ['training', { stf: 430, images: 0, initial: 0 }],
  ])('%s agrees', async (folder, leastValues) => {
    const reports = await reportsOf(join(fixtures, folder));
    const beyond = reports.flatMap(({ checks }) => checks.filter(({ passed }) => !passed));
    expect(beyond).toEqual([]);
    for (const [name, least] of Object.entries(leastValues)) {
      const report = reports.find(({ file }) => file === name || file === `${name}.safetensors`);
      expect(report?.verdict, `${name}: ${report?.note}`).toBe('ok');
      expect(report?.checks.length, name).toBeGreaterThanOrEqual(least);
    }
    expect(reports).toHaveLength(Object.keys(leastValues).length);
  });
});

describe('what is wrong is found', () => {
  const copies: string[] = [];
  afterAll(() => copies.forEach((path) => rmSync(dirname(path), { recursive: true, force: true })));

  async function reportOfAltered(
    folder: string,
    keep: string[],
    alter: (...files: Altered[]) => void,
  ): Promise<FileReport> {
    const names = keep.map((name) => `${name}.safetensors`);
    const path = alteredCopy(join(fixtures, folder), names, alter);
    copies.push(path);
    const reports = await reportsOf(path);
    return reports.find(({ file }) => file === names[0])!;
  }

  // One value of one expected tensor, off by the share that is given: far below what a wrong formula would do.
  test.each<[folder: string, keep: string[], tensor: string, share: number]>([
    ['networks', ['f_edm_ddpmpp_cond_aug'], 'case0.denoised_f64', 1e-5],
    ['networks', ['f_edm_ddpmpp_cond_aug'], 'case1.inner.noise_labels', 1e-5],
    ['networks', ['block_plain_down_attn'], 'grad.qkv.weight', 1e-4],
    ['networks', ['tables_vp'], 'sigma_f64', 1e-12],
    ['networks', ['tables_vp'], 'sigma_inv_f64', 1e-12],
    ['networks', ['tables_ve'], 'loss_sigma', 1e-5],
    ['networks', ['tables_iddpm'], 'alpha_bar', 1e-5],
    ['networks', ['tables_iddpm'], 'rounded', 1e-4],
    ['loss', ['f_edm_stf_cond_aug', 'images'], 'grad.model.map_augment.weight', 1e-4],
    ['loss', ['f_edm_stf_cond_aug', 'images'], 'weights_f64', 1e-4],
    ['stf', ['b2_n3', 'images'], 'target_f64', 1e-4],
    ['stf', ['b2_n3', 'images'], 'weights_f64', 1e-4],
    ['samplers-sde', ['sde_ve'], 'prior_logp', 1e-9],
    ['samplers-sde', ['sde_ve'], 'discretize_G', 1e-9],
    ['samplers-sde', ['sde_vp'], 'discretize_f', 1e-9],
    ['samplers-sde', ['sde_vp'], 'alphas_cumprod', 1e-9],
    ['samplers-sde', ['sde_subvp'], 'diffusion', 1e-9],
    ['samplers-sde', ['sde_subvp'], 'pflow_drift', 1e-9],
    ['training', ['stf', 'images', 'initial'], 'grad_norm_f64', 1e-5],
    ['training', ['stf', 'images', 'initial'], 'ema_beta', 1e-6],
    ['training', ['stf', 'images', 'initial'], 'adam.exp_avg.model.map_layer0.weight', 1e-3],
  ])('%s %j: %s off by %d', async (folder, keep, tensor, share) => {
    const { verdict, checks } = await reportOfAltered(folder, keep, ({ tensors }) =>
      moveLargest(tensors, tensor, share),
    );
    expect(verdict).toBe('FAIL');
    expect(checks.filter(({ passed }) => !passed).map(({ what }) => what.split(' (')[0])).toEqual([tensor]);
  });

  test('trained weights that stayed where they were', async () => {
    const { verdict, checks } = await reportOfAltered('training', ['stf', 'images', 'initial'], ({ tensors }) => {
      for (const [name, tensor] of tensors) {
        // A hundredth of the parameters, each off by half a learning rate.
        if (name.startsWith('final.'))
          (tensor.data as Float32Array).forEach((_, i, all) => (all[i] += i % 100 ? 0 : 1e-3));
      }
    });
    expect(verdict).toBe('FAIL');
    expect(checks.filter(({ passed }) => !passed).map(({ what }) => what.split(' ')[0])).toContain('final');
  });

  test('a moment that is left out, of a parameter that has a gradient', async () => {
    const { verdict, note } = await reportOfAltered('training', ['stf', 'images', 'initial'], ({ tensors, entry }) => {
      delete entry.tensors;
      tensors.delete('adam.exp_avg.model.map_layer0.weight');
    });
    expect(verdict).toBe('FAIL');
    expect(note).toMatch(/no tensor "adam\.exp_avg\.model\.map_layer0\.weight"/);
  });

  test.each<[what: string, change: (file: Altered) => void, verdict: string, failing: string]>([
    [
      'a time step that is off by one',
      ({ tensors }) => void ((tensors.get('grid_timestep_eps0.001_f32')!.data as BigInt64Array)[500] += 1n),
      'FAIL',
      'grid_timestep_eps0.001_f32',
    ],
    ['a score', ({ tensors }) => moveLargest(tensors, 'score', 1e-7), 'FAIL', 'score'],
    ['another process', ({ entry }) => (entry.source = { function: 'VPSDE' }), 'unsupported', 'process arguments'],
    ['an unknown process', ({ entry }) => (entry.source = { function: 'NewSDE' }), 'unsupported', 'process NewSDE'],
  ])('tables of a process: %s', async (_, change, verdict, failing) => {
    const report = await reportOfAltered('samplers-sde', ['sde_ve'], change);
    expect(report.verdict).toBe(verdict);
    const beyond = report.checks.filter(({ passed }) => !passed).map(({ what }) => what);
    expect([report.note ?? '', ...beyond].join('; ')).toContain(failing);
  });

  // As the official loop does without an augmentation pipe: the labels are None, and the parameter has no gradient.
  test('a network for augmented images is trained without labels, and its parameter stays', async () => {
    const name = 'model.map_augment.weight';
    const weight = {
      dtype: 'F32',
      shape: [8, 9],
      data: Float32Array.from({ length: 72 }, (_, i) => Math.cos(i)),
    } as const;
    const report = async (final: typeof weight) =>
      reportOfAltered('training', ['stf', 'images', 'initial'], (run, _, initial) => {
        initial.entry.kwargs = { ...(initial.entry.kwargs as object), augment_dim: 9 };
        initial.tensors.set(name, weight);
        run.tensors.set(`final.${name}`, final).set(`ema.${name}`, weight);
        (run.entry.parameter_order as string[]).unshift(name);
        for (const { entry } of [run, initial]) delete entry.tensors;
      });
    const { verdict, checks, note } = await report(weight);
    expect({ note, beyond: checks.filter(({ passed }) => !passed) }).toEqual({ note: undefined, beyond: [] });
    expect(verdict).toBe('ok');
    expect(checks.map(({ what }) => what)).toContain(`adam.exp_avg.${name} without a gradient`);
    const moved = { ...weight, data: weight.data.map((value) => value + 1) };
    expect((await report(moved)).verdict).toBe('FAIL');
  });

  // A file has no float64 twin where it would be the same: the numbers of sources follow from `weights` then.
  test.each([
    ['the same', 0, 'ok'],
    ['off', 1e-4, 'FAIL'],
  ])('weights without a float64 twin that are %s', async (_, share, expected) => {
    const { verdict, checks } = await reportOfAltered('stf', ['b2_n3', 'images'], ({ tensors, entry }) => {
      delete entry.tensors;
      const { shape, data } = tensors.get('weights_f64')!;
      tensors.set('weights', { dtype: 'F32', shape, data: Float32Array.from(data as Float64Array) });
      tensors.delete('weights_f64');
      moveLargest(tensors, 'weights', share);
    });
    expect(verdict).toBe(expected);
    expect(checks.find(({ what }) => what === 'effective_references')?.passed).toBe(true);
  });

  test.each<[what: string, folder: string, keep: string[], change: (...files: Altered[]) => void, note: RegExp]>([
    [
      'an index of another layout',
      'training',
      ['stf', 'images', 'initial'],
      ({ tensors, entry }) => {
        delete entry.tensors;
        tensors.set('index', { ...tensors.get('index')!, shape: [8, 2, 16] });
      },
      /index \[8, 2, 16\]: only \[steps, n\] is known/,
    ],
    [
      'label dropout in training',
      'training',
      ['stf', 'images', 'initial'],
      (_, __, { entry }) => (entry.kwargs = { ...(entry.kwargs as object), label_dim: 3, label_dropout: 0.1 }),
      /label_dropout, whose draws/,
    ],
  ])('%s is unsupported', async (_, folder, keep, change, note) => {
    const report = await reportOfAltered(folder, keep, change);
    expect(report.verdict).toBe('unsupported');
    expect(report.note).toMatch(note);
  });

  test('wrong inputs change the result', async () => {
    const { verdict } = await reportOfAltered('networks', ['f_edm_ddpmpp_cond_aug'], ({ tensors }) =>
      moveLargest(tensors, 'state.model.enc.16x16_conv.weight', 1e-3),
    );
    expect(verdict).toBe('FAIL');
  });

  test.each<[what: string, change: (first: Altered) => void, verdict: string, note: RegExp]>([
    ['a missing tensor', ({ tensors }) => tensors.delete('case0.denoised'), 'FAIL', /"case0\.denoised" is nothing/],
    [
      'a missing tensor that the manifest does not list either',
      ({ tensors, entry }) => {
        entry.tensors = undefined;
        tensors.delete('case0.denoised');
        tensors.delete('case0.denoised_f64');
      },
      'FAIL',
      /no tensor "case0\.denoised"/,
    ],
    [
      'a missing parameter',
      ({ tensors, entry }) => {
        entry.tensors = undefined;
        tensors.delete('state.model.map_label.bias');
      },
      'FAIL',
      /no parameter "model\.map_label\.bias"/,
    ],
    [
      'a tensor that nobody knows',
      ({ tensors }) => tensors.set('case0.surprise', tensors.get('case0.sigma')!),
      'unsupported',
      /1 tensors not checked: case0\.surprise/,
    ],
    [
      'an unknown constructor',
      ({ entry }) => Object.assign(entry, { constructor: 'NewPrecond' }),
      'unsupported',
      /NewPrecond/,
    ],
    [
      'an unknown network',
      ({ entry }) => (entry.kwargs = { ...(entry.kwargs as object), model_type: 'NewUNet' }),
      'unsupported',
      /"NewUNet"/,
    ],
    [
      'an unknown argument',
      ({ entry }) => (entry.kwargs = { ...(entry.kwargs as object), spectral_norm: true }),
      'unsupported',
      /"spectral_norm"/,
    ],
    [
      'an unknown kind of file',
      ({ entry }) => ['constructor', 'cases'].forEach((name) => delete entry[name]),
      'unsupported',
      /no check for this kind/,
    ],
    ['a file of another size', ({ entry }) => (entry.bytes = 12345), 'FAIL', /its manifest says 12345/],
  ])('%s', async (_, change, verdict, note) => {
    const report = await reportOfAltered('networks', ['f_edm_ddpmpp_cond_aug'], change);
    expect(report.verdict).toBe(verdict);
    expect(report.note).toMatch(note);
  });
});

describe('the command', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'stf-parity-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('takes a parent of folders, prints a line a file and a summary, and ends with 0', async () => {
    const parent = join(scratch, 'parent');
    for (const name of ['one', 'two']) cpSync(join(fixtures, 'stf'), join(parent, name), { recursive: true });
    mkdirSync(join(parent, 'without-manifest'));
    const { code, out } = await run(parent);
    expect(out.at(-1)).toMatch(/^8 files: 8 ok, 0 FAIL, 0 unsupported \(/);
    expect(out.filter((line) => / {2}ok {2}/.test(line)).map((line) => line.split(' ')[0])).toContain(
      'two/duplicates.safetensors',
    );
    expect(code).toBe(0);
  });

  test('--json holds every comparison', async () => {
    const { code, out } = await run(join(fixtures, 'stf'), '--json');
    const { passed, files } = JSON.parse(out.join('\n')) as { passed: boolean; files: FileReport[] };
    expect(passed).toBe(true);
    expect(files[0]?.checks.map(({ what }) => what)).toContain('target_f64');
    expect(code).toBe(0);
  });

  test('ends with 1 where something is unsupported, such as a file that the manifest does not name', async () => {
    const folder = join(scratch, 'unlisted');
    mkdirSync(folder);
    writeFileSync(join(folder, 'manifest.json'), '{"files": []}');
    writeFileSync(join(folder, 'extra.bin'), 'x');
    const { code, out } = await run(folder);
    expect(out.join('\n')).toMatch(/unlisted\/extra\.bin .* unsupported +not named by the manifest/);
    expect(code).toBe(1);
  });

  test.each<[what: string, args: () => string[], message: RegExp]>([
    ['no folder', () => [], /one folder is needed, got 0/],
    ['two folders', () => [fixtures, fixtures], /got 2/],
    ['a folder that does not exist', () => [join(scratch, 'nowhere')], /there is no folder .*nowhere/],
    ['a file', () => [fileURLToPath(import.meta.url)], /there is no folder/],
    ['a folder without a manifest', () => [dirname(fileURLToPath(import.meta.url))], /there is no manifest\.json in/],
    ['an unknown option', () => [fixtures, '--fast'], /--fast/],
    [
      'a manifest that is not JSON',
      () => {
        const folder = join(scratch, 'broken');
        mkdirSync(folder);
        writeFileSync(join(folder, 'manifest.json'), '{"files":');
        return [folder];
      },
      /manifest\.json is not JSON/,
    ],
  ])('ends with 2 for %s', async (_, args, message) => {
    const { code, out, err } = await run(...args());
    expect(err).toMatch(message);
    expect(out).toEqual([]);
    expect(code).toBe(2);
  });
});

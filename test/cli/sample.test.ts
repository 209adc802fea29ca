import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeApng } from 'fast-png';
import { beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { decodePng } from '../../src/formats/png.ts';
import { readPointFile } from '../../src/node/dataset/point-file.ts';
import { openImageSet } from '../../src/node/evaluation/image-set.ts';
import { findCheckpoint } from '../../src/node/run-reader.ts';
import { encodeCheckpoint } from '../../src/training/index.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';
import type { Outcome } from './support.ts';

const snapshot = join(import.meta.dirname, '../fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl');
const folder = temporaryFolder();
let network = '';

/** Draws from the imported network with few steps. */
const sample = (outdir: string, flags: string): Promise<Outcome> =>
  stf(['sample', '--network', network, '--outdir', folder.join(outdir), '--threads', '1', ...flags.split(' ')]);
const png = (...path: string[]): Buffer => readFileSync(folder.join(...path));

describe('images', () => {
  beforeEach(async () => {
    network = folder.join('edm.safetensors');
    expect(await stf(['import', snapshot, '--out', network])).toMatchObject({ code: 0 });
  });

  test.each([
    ['--steps 3', 5],
    ['--steps 3 --S-churn 20 --S-noise 1.003', 5],
    ['--steps 3 --solver euler --disc vp --schedule vp --scaling vp', 3],
    ['--sampler ddim --steps 3 --eta 1', 3],
    ['--sampler dpm-solver++ --steps 3', 3],
    ['--sampler predictor-corrector --steps 3', 6],
    ['--sampler predictor-corrector --steps 3 --predictor ancestral --corrector none --denoise off', 3],
  ])('%s costs %s evaluations', async (flags, evaluations) => {
    const { code, stdout, stderr } = await sample('out', `--seeds 0-1 ${flags}`);
    expect({ code, stderr: /error/i.test(stderr) }).toEqual({ code: 0, stderr: false });
    expect(stdout).toMatch(new RegExp(`^2 samples in .*, ${evaluations} evaluations each`));
    expect(png('out', '000000.png')).not.toEqual(png('out', '000001.png'));
  });

  test('rk45 takes steps of 6 evaluations', async () => {
    const { stdout } = await sample('out', '--seeds 0 --sampler rk45 --rtol 0.1 --atol 0.1');
    const [, evaluations] = /, (\d+) evaluations each/.exec(stdout)!;
    expect((Number(evaluations) - 2) % 6).toBe(0);
  });

  test('what is there from before is not drawn again, with the same settings', async () => {
    await sample('all', '--seeds 0-3 --steps 2 --batch 1');
    await sample('out', '--seeds 0-1 --steps 2 --batch 1');
    // One file is damaged, one is gone.
    writeFileSync(folder.join('out', '000000.png'), 'no picture');
    const more = await sample('out', '--seeds 0-3 --steps 2 --batch 1');
    expect(more.stderr).toContain('1 of 4 samples are in');
    for (const name of ['000000.png', '000001.png', '000003.png', 'grid.png', 'sampling.json'])
      expect(png('out', name), name).toEqual(png('all', name));
    rmSync(folder.join('out', '000002.png'));
    expect((await sample('out', '--seeds 0-3 --steps 2 --batch 1')).stderr).toContain('3 of 4 samples are in');
    expect((await sample('out', '--seeds 0-3 --steps 2')).stdout).toMatch(
      /^4 samples in .*, all from before; all of them: /,
    );
  });

  test('images of other settings are not mixed with new ones', async () => {
    await sample('out', '--seeds 0-2 --steps 2');
    await sample('out', '--seeds 5 --steps 2 --subdirs');
    const before = folder.list().map((name) => [name, name.endsWith('.png') && png(name)]);
    const { code, stderr, stdout } = await sample('out', '--seeds 7 --steps 3');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`--outdir ${folder.join('out')} has 4 images that were drawn with other settings`);
    expect(stderr).toContain('Choose another --outdir, or delete them first.');
    expect(folder.list().map((name) => [name, name.endsWith('.png') && png(name)])).toEqual(before);
    // Once they are gone, the folder is free.
    for (const name of folder.list().filter((each) => /\d{6}\.png$/.test(each))) rmSync(folder.join(name));
    expect((await sample('out', '--seeds 7 --steps 3')).code).toBe(0);
    expect(JSON.parse(png('out', 'sampling.json').toString())).toMatchObject({ done: '7' });
  });

  test.each(['{', '[]', '"x"', '5-1', '0-3,', '-1', '0-99999999999'])(
    'a record with %s counts for nothing',
    async (done) => {
      const path = folder.join('out', 'sampling.json');
      await sample('out', '--seeds 0 --steps 2');
      const record = JSON.parse(readFileSync(path, 'utf8')) as { settings: unknown };
      writeFileSync(path, /^[{["]/.test(done) ? done : JSON.stringify({ ...record, done }));
      const { code, stderr } = await sample('out', '--seeds 0 --steps 2');
      expect({ code, isResumed: stderr.includes('are in') }).toEqual({ code: 0, isResumed: false });
      expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ ...record, done: '0' });
    },
  );

  test('a record may have more seeds than one call', async () => {
    const path = folder.join('out', 'sampling.json');
    await sample('out', '--seeds 5 --steps 2');
    const record = JSON.parse(readFileSync(path, 'utf8')) as { settings: unknown };
    writeFileSync(path, JSON.stringify({ ...record, done: '1-3,5-2000000,4294967295' }));
    expect((await sample('out', '--seeds 4-5 --steps 2')).stderr).toContain('1 of 2 samples are in');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ ...record, done: '1-2000000,4294967295' });
  });

  test('--trajectory makes its pictures where all images are there, and leaves those alone', async () => {
    await sample('whole', '--seeds 0-2 --steps 3 --batch 2 --trajectory');
    await sample('out', '--seeds 0-2 --steps 3 --batch 2');
    const written = statSync(folder.join('out', '000000.png')).mtimeMs;
    const { stdout } = await sample('out', '--seeds 0-2 --steps 3 --batch 2 --trajectory');
    expect(stdout).toMatch(/^3 samples in .*, all from before; all of them: .*\nFrom noise to samples: /);
    for (const name of ['trajectory.png', 'trajectory-animated.png', 'grid.png'])
      expect(png('out', name), name).toEqual(png('whole', name));
    expect(statSync(folder.join('out', '000000.png')).mtimeMs).toBe(written);
  });

  test.each(['--sampler predictor-corrector --steps 3', '--sampler rk45 --rtol 0.1 --atol 0.1 --denoise on'])(
    '%s: the animation ends with the samples',
    async (flags) => {
      await sample('out', `--seeds 0-3 --trajectory ${flags}`);
      const { frames } = decodeApng(png('out', 'trajectory-animated.png'));
      const last = Buffer.from(frames.at(-1)!.data as Uint8Array);
      expect(last).toEqual(Buffer.from(decodePng(png('out', 'grid.png')).data));
    },
  );

  test('an interrupted call goes on where it stopped', async () => {
    await sample('whole', '--seeds 0-2 --steps 2 --batch 1');
    // As Ctrl-C does, once the first image is there.
    let stderr = '';
    const interrupt = new Proxy(new AbortController().signal, {
      get: (signal, name) =>
        name === 'aborted' ? existsSync(folder.join('out', '000000.png')) : Reflect.get(signal, name, signal),
    });
    const argv = [
      '--network',
      network,
      '--outdir',
      folder.join('out'),
      '--seeds',
      '0-2',
      '--steps',
      '2',
      '--batch',
      '1',
    ];
    const code = await run(['sample', ...argv, '--threads', '1'], {
      stdout: { write: () => {} },
      stderr: { write: (text) => (stderr += text) },
      interrupt,
    });
    expect(code).toBe(130);
    expect(stderr).toMatch(/interrupted; 1 of 3 samples are complete/);
    const resumed = await sample('out', '--seeds 0-2 --steps 2 --batch 1');
    expect(resumed.stderr).toMatch(/1 of 3 samples are in .* from before/);
    for (const name of ['000000.png', '000001.png', '000002.png', 'grid.png'])
      expect(png('out', name), name).toEqual(png('whole', name));
  });

  test('the folder can be measured and checked: pictures of many samples are not among its images', async () => {
    await sample('out', '--seeds 0-2 --steps 2 --trajectory');
    expect(folder.list()).toContain(join('out', 'grid.png'));
    const set = await openImageSet(folder.join('out'));
    expect(set.length).toBe(3);
    await set.close();
    expect(await stf(['dataset', 'check', folder.join('out')])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/: 3 pictures of .*, all good\n$/) as string,
    });
    // In a folder of somebody else's, grid.png is a picture like any other.
    rmSync(folder.join('out', 'sampling.json'));
    expect((await stf(['dataset', 'check', folder.join('out')])).code).not.toBe(0);
  });

  test('--subdirs puts a thousand seeds in a folder', async () => {
    await sample('out', '--seeds 7,2003 --steps 2 --subdirs');
    const names = folder.list().filter((name) => /\d{6}\.png$/.test(name));
    expect(names).toEqual([join('out', '000000', '000007.png'), join('out', '002000', '002003.png')]);
  });

  test('--trajectory makes a strip and an animation that ends with the samples', async () => {
    const { stdout } = await sample('out', '--seeds 0-4 --steps 3 --trajectory');
    expect(stdout).toContain('From noise to samples: ');
    const strip = decodePng(png('out', 'trajectory.png'));
    const { width, height } = decodePng(png('out', '000000.png'));
    // Three steps side by side; two rows for each of four images; doubled, with gaps of 2.
    expect([strip.width, strip.height]).toEqual([3 * 2 * width + 4, 8 * 2 * height + 14]);
    const { frames } = decodeApng(png('out', 'trajectory-animated.png'));
    expect(frames).toHaveLength(3);
    // Five images in a square of three by two; the last frame is the grid itself.
    expect(Buffer.from(frames[2].data as Uint8Array)).toEqual(Buffer.from(decodePng(png('out', 'grid.png')).data));
  });

  test.each([
    ['--sampler euler', '--sampler: unknown value "euler". Choose one of: edm, ablation'],
    [
      '--sampler ddim --snr 0.1',
      '--snr is no option of --sampler ddim, which has --steps, --sigma-min, --sigma-max, --rho, --eta.',
    ],
    ['--sampler edm --solver euler', '--solver is no option of --sampler edm'],
    ['--disc linear', '--disc: unknown value "linear". Choose one of: vp, ve, iddpm, edm.'],
    ['--sampler ddim --eta 2', 'stf sample: --eta must be from 0 to 1, got 2.'],
    ['--sigma-min 80 --sigma-max 0.002', '--sigma-min must be above 0 and below --sigma-max, got --sigma-min = 80'],
    ['--steps 1', '--steps must be an integer from 2 to 100000, got 1.'],
    ['--steps 100001', '--steps must be an integer from 2 to 100000, got 100001.'],
    ['--S-min 3 --S-max 2', '--S-max must be at least --S-min (3), got 2.'],
    ['--disc vp --schedule vp --sigma-min 0.5 --sigma-max 80', '--sigma-min must be below 0.133 for a VP schedule'],
    ['--schedule vp --sigma-min 0.5 --sigma-max 80', '--sigma-min must be below 0.133 for a VP schedule'],
    ['--sigma-max 1e300', '--sampler edm gives infinity or NaN with these settings'],
    [
      '--sampler predictor-corrector --predictor none --corrector none',
      '--predictor and --corrector are both "none": nothing would happen',
    ],
    ['--class 0', '--class needs a class-conditional network'],
    ['--guidance 2', '--guidance needs a class-conditional network'],
  ])('%s is refused before anything is written', async (flags, message) => {
    const { code, stderr } = await sample('out', flags);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(folder.list()).toEqual(['edm.safetensors']);
  });
});

test('a checkpoint of the official code is to be imported first', async () => {
  for (const bytes of [readFileSync(snapshot), Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0)]) {
    network = folder.join('network.pkl');
    writeFileSync(network, bytes);
    const { code, stderr } = await sample('out', '--seeds 0');
    expect(code).toBe(2);
    expect(stderr).toContain(`Turn it into a checkpoint first: stf import ${network} --out NAME.safetensors.`);
  }
});

test('points: every sampler, and their way from noise', async () => {
  expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
  network = folder.join('runs', '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32');
  for (const [out, flags] of [
    ['dpm', '--sampler dpm-solver++ --trajectory'],
    ['rk45', '--sampler rk45'],
    ['pc', '--sampler predictor-corrector --steps 20'],
  ])
    expect(await sample(out, `--seeds 0-799 ${flags}`)).toMatchObject({ code: 0 });
  expect(decodePng(png('dpm', 'trajectory.png')).width).toBeGreaterThan(600);
  expect(decodeApng(png('dpm', 'trajectory-animated.png')).frames).toHaveLength(20);
});

test('points are not lost: the same call may write over its own, and no other', async () => {
  expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
  network = folder.join('runs', '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32');
  for (const seeds of ['0-3', '0-3', '0-5'])
    expect(await sample('out', `--seeds ${seeds}`), seeds).toMatchObject({ code: 0 });
  const kept = png('out', 'points.csv');
  for (const [flags, why] of [
    ['--seeds 0-4', 'points of other seeds in points.csv. Choose another --outdir, or delete the file first.'],
    ['--seeds 0-5 --steps 4', 'points drawn with other settings (sampling.json) in points.csv.'],
  ])
    expect(await sample('out', flags)).toMatchObject({ code: 2, stderr: expect.stringContaining(why) as string });
  rmSync(folder.join('out', 'sampling.json'));
  expect(await sample('out', '--seeds 0-5')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('points of another call') as string,
  });
  expect(png('out', 'points.csv')).toEqual(kept);
  // Seeds are no coordinate.
  const { sampleShape, length } = readPointFile(folder.join('out', 'points.csv'));
  expect({ sampleShape, length }).toEqual({ sampleShape: [2], length: 6 });
});

test('a network with NaN in its weights is refused with exit code 1', async () => {
  expect((await stf([...tinyRun, '--outdir', folder.join('runs')])).code).toBe(0);
  const run = folder.join('runs', '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32');
  const { checkpoint } = await findCheckpoint(run);
  network = folder.join('nan.safetensors');
  checkpoint.vectors.ema[3] = NaN;
  writeFileSync(network, encodeCheckpoint(checkpoint));
  const { code, stderr } = await sample('out', '--seeds 0-3');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^stf sample: .*nan\.safetensors: the averaged weights: 1 of \d+ are NaN or infinite, the first one NaN at 3\. .*diverged\.\n$/,
  );
  expect(folder.list()).not.toContain('out');
});

test('guidance doubles the cost, and needs a network that was trained without classes as well', async () => {
  const train = (name: string, ...more: string[]): Promise<Outcome> =>
    stf([...tinyRun, '--data', 'two-moons', '--cond', ...more, '--outdir', folder.join(name)]);
  expect((await train('with', '--label-dropout', '0.2')).code).toBe(0);
  expect((await train('without')).code).toBe(0);
  const run = '00000-two-moons-cond-mlp-edm-stf128-batch64-fp32';
  network = folder.join('with', run);
  const points = async (flags: string): Promise<string> => {
    rmSync(folder.join('out'), { recursive: true, force: true });
    expect((await sample('out', `--seeds 0-9 --class 1 ${flags}`.trim())).code).toBe(0);
    return readFileSync(folder.join('out', 'points.csv'), 'utf8');
  };
  const [plain, one, two] = [await points(''), await points('--guidance 1'), await points('--guidance 2')];
  expect(one).toBe(plain);
  expect(two).not.toBe(plain);
  expect((await sample('other', '--seeds 0 --guidance 2 --steps 3')).stdout).toMatch(/, 10 evaluations each/);
  network = folder.join('without', run);
  expect(await sample('out', '--guidance 2')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--label-dropout') as string,
  });
});

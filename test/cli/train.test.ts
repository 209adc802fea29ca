import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { adm, ddpmpp, ncsnpp } from '../../src/networks/index.ts';
import { decodePng } from '../../src/formats/png.ts';
import { findCheckpoint, readStatistics } from '../../src/node/run-reader.ts';
import { decodeCheckpoint, trainingVectors } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';

const folder = temporaryFolder();
const runName = '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32';
const train = (...more: string[]): string[] => [...tinyRun, '--outdir', folder.join('runs'), ...more];

const checkpointAt = (run: string, name: string) => decodeCheckpoint(readFileSync(join(run, name)), name);

test('a dry run prints options and parameters, and writes nothing', async () => {
  const { code, stdout, stderr } = await stf(train('--dry-run'));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const options = JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as { batch: number; durationKimg: number };
  expect(options).toMatchObject({
    batch: 64,
    durationKimg: 4,
    objective: { kind: 'stf', references: { kind: 'fresh', count: 128 } },
  });
  // Weights and biases by hand, width 16: two layers of the embedding, in and out, and one block of three.
  const dense = (inputs: number, outputs: number): number => (inputs + 1) * outputs;
  const parameters = 2 * dense(16, 16) + dense(2, 16) + 3 * dense(16, 16) + dense(16, 2);
  expect(stdout).toContain(`Parameters:  ${parameters.toLocaleString('en')}\n`);
  expect(stdout).toContain(runName);
  expect(folder.list()).toEqual([]);
});

test.each([
  [['--objective', 'dsm'], 'denoising score matching: the clean sample'],
  [['--references', 'bank'], 'stable target over the last 1024 samples seen'],
  [['--cond'], "stable target over 1024 fresh references, of each sample's own class only"],
  [
    ['--cond', '--mix-labels'],
    'stable target over 1024 fresh references, of all classes together, which is biased for a network that is told the class',
  ],
  // Log-normal with mean -1 and deviation 1.2: ln 2 and ln 20 are 1.411 and 3.330 deviations out, 7.9 % lie between.
  [
    ['--gate', '2,20'],
    'stable target over 1024 fresh references, at noise levels from 2 to 20 (7.9 % of those that are trained)',
  ],
  [
    ['--gate', '1e9,1e10'],
    'stable target over 1024 fresh references, at noise levels from 1000000000 to 10000000000 (none of those that are trained)',
  ],
  // 0.88⁴ of them are neither scaled nor turned, stretched nor shifted.
  [
    ['--augment', '0.12'],
    'stable target over 1024 fresh references; for the 60 % of images that are flipped or turned at the most',
  ],
  [['--augment', '0.12', '--augment-with', 'x-flip,y-flip,rotate-int'], 'stable target over 1024 fresh references'],
])('a run says what it trains towards: %j', async (flags, target) => {
  const { stdout } = await stf(['train', ...flags, '--dry-run']);
  expect(stdout).toContain(`Target:      ${target}\n`);
});

test('--augment gives the network a place for its labels, and 0 takes it away', async () => {
  const dry = async (...flags: string[]) => {
    const { code, stdout, stderr } = await stf(['train', ...flags, '--dry-run']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as TrainingOptions;
  };
  expect(await dry('--augment', '0.15')).toMatchObject({
    augmentation: { probability: 0.15, multipliers: { xFlip: 1e8, aniso: 1 } },
    denoiser: { network: { augmentDim: 9 } },
  });
  const chosen = await dry('--augment', '0.15', '--augment-with', 'hue,x-flip', '--xflip');
  expect(chosen.augmentation?.multipliers).toEqual({ xFlip: 1e8, hue: 1 });
  expect(chosen).toMatchObject({ xFlip: true, denoiser: { network: { augmentDim: 3 } } });
  const none = await dry('--preset', 'cifar10-edm-ddpmpp', '--augment', '0');
  expect(none).toMatchObject({ augmentation: null, denoiser: { network: { augmentDim: 0 } } });
});

test('NCSN++ has the published size, and its run is called so', async () => {
  const size = ['--cbase', '128', '--cres', '2,2,2', '--blocks', '4', '--attn', '16'];
  const { code, stdout } = await stf(['train', '--arch', 'ncsnpp', ...size, '--dry-run']);
  expect(code).toBe(0);
  // From the DDPM++ that EDM publishes: without its layer for 9 augmentation labels, with a noise embedding of twice the
  // width, and with a 3 x 3 convolution of the image at each of the two lower levels of the encoder.
  const parameters = 55_733_891 - 9 * 128 + 128 * 512 + (3 * 9 + 1) * 256 + (256 * 9 + 1) * 256;
  expect(parameters).toBe(56_395_523);
  expect(stdout).toContain(`Parameters:  ${parameters.toLocaleString('en')}\n`);
  expect(stdout).toContain('-cifar10-uncond-ncsnpp-edm-');
});

test('what sets the U-Nets apart changes with --arch, and nothing else', async () => {
  const dry = async (...flags: string[]) => {
    const { stdout } = await stf(['train', '--preset', 'cifar10-edm-ddpmpp', ...flags, '--dry-run']);
    return JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as TrainingOptions;
  };
  expect((await dry('--arch', 'ncsnpp')).denoiser.network).toEqual({ ...ncsnpp, augmentDim: 9 });
  expect((await dry('--arch', 'ddpmpp')).denoiser.network).toEqual({ ...ddpmpp, augmentDim: 9 });
  // Of ADM only what it is: the size stays.
  const { modelChannels, channelMult, blocks, attentionResolutions, dropout } = ddpmpp;
  const size = { modelChannels, channelMult, blocks, attentionResolutions, dropout };
  const expected = { ...adm, ...size, resolution: 32, labelDim: 10, augmentDim: 9 };
  expect((await dry('--arch', 'adm', '--cond')).denoiser.network).toEqual(expected);
});

test('the recipe can be chosen option by option', async () => {
  const recipe = ['--sigma-data', '0.25', '--beta1', '0.8', '--beta2', '0.99'];
  const sampler = ['--sigma-min', '0.01', '--sigma-max', '50', '--rho', '5'];
  const classes = ['--cond', '--label-dropout', '0.1', '--mix-labels'];
  const { code, stdout } = await stf(['train', ...recipe, ...sampler, ...classes, '--dry-run']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3))).toMatchObject({
    denoiser: { network: { labelDim: 10, labelDropout: 0.1 }, preconditioning: { sigmaData: 0.25 } },
    objective: { kind: 'stf', mixLabels: true },
    adam: { beta1: 0.8, beta2: 0.99 },
    samples: { sigmaMin: 0.01, sigmaMax: 50, rho: 5 },
  });
});

test('--precond brings the noise levels of its networks, and options of EDM are refused with it', async () => {
  const dry = async (...flags: string[]) => {
    const { stdout } = await stf(['train', ...flags, '--dry-run']);
    return JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as TrainingOptions;
  };
  // The sampler's range is EDM's, as far as the network's own reaches: 0.02 to 100 for VE, 0.00098 to 152 for VP.
  expect(await dry('--precond', 've')).toMatchObject({
    denoiser: { preconditioning: { kind: 've', sigmaMin: 0.02, sigmaMax: 100 } },
    noiseLevels: { kind: 'log-uniform', sigmaMin: 0.02, sigmaMax: 100 },
    samples: { sigmaMin: 0.02, sigmaMax: 80 },
  });
  expect(await dry('--precond', 'vp')).toMatchObject({
    denoiser: { preconditioning: { kind: 'vp', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 } },
    noiseLevels: { kind: 'vp-time', betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5 },
    samples: { sigmaMin: 0.002, sigmaMax: 80 },
  });
  expect((await dry('--precond', 'iddpm', '--sigma-min', '0.5')).samples).toMatchObject({
    sigmaMin: 0.5,
    sigmaMax: 80,
  });
  expect(await dry('--precond', 'edm')).toEqual(await dry());
  for (const flags of [
    ['--sigma-data', '0.3'],
    ['--p-mean', '0'],
    ['--p-std', '1'],
  ]) {
    const { code, stderr } = await stf(['train', '--precond', 'vp', ...flags, '--dry-run']);
    expect(code).toBe(2);
    expect(stderr).toContain(`${flags[0]} is an option of --precond edm, and the preconditioning is vp.`);
  }
});

test('what the network gives, the weight of the loss and the constants of the schedule are options', async () => {
  const dry = async (...flags: string[]) => {
    const { stdout } = await stf(['train', ...flags, '--dry-run']);
    return JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3)) as TrainingOptions;
  };
  const subVp = { kind: 'sub-vp', betaD: 4.8, betaMin: 0.2, epsilonT: 0.001, steps: 500 };
  const schedule = ['--beta-min', '0.2', '--beta-max', '5', '--epsilon-t', '0.001', '--noise-steps', '500'];
  const changed = await dry('--precond', 'sub-vp', '--output', 'v', '--weighting', 'epsilon', ...schedule);
  expect(changed).toMatchObject({
    denoiser: { preconditioning: { kind: 'process', process: subVp, output: 'v' } },
    noiseLevels: { kind: 'process-time', process: subVp },
    weighting: 'epsilon',
  });
  // σ(1) = 2 sinh(B / 2), B = (0.2 + 5) / 2.
  expect(changed.samples.sigmaMin).toBe(0.002);
  expect(changed.samples.sigmaMax).toBeCloseTo(2 * Math.sinh(1.3), 12);
  expect(await dry('--precond', 've', '--process-sigma-min', '0.01', '--process-sigma-max', '50')).toMatchObject({
    denoiser: { preconditioning: { kind: 've', sigmaMin: 0.01, sigmaMax: 50 } },
    noiseLevels: { kind: 'log-uniform', sigmaMin: 0.01, sigmaMax: 50 },
    samples: { sigmaMin: 0.01, sigmaMax: 50 },
  });
  const iddpm = { c1: 0.01, c2: 0.02, steps: 100 };
  expect(await dry('--precond', 'iddpm', '--c1', '0.01', '--c2', '0.02', '--noise-steps', '100')).toMatchObject({
    denoiser: { preconditioning: { kind: 'iddpm', ...iddpm } },
    noiseLevels: { kind: 'iddpm-steps', ...iddpm },
  });
  // Both beyond the published range: neither is compared with the default of the other.
  for (const [betaMin, betaMax] of [
    ['21', '24'],
    ['0.01', '0.05'],
  ]) {
    const { denoiser } = await dry('--precond', 'vp', '--beta-min', betaMin, '--beta-max', betaMax);
    expect(denoiser.preconditioning).toMatchObject({
      betaMin: Number(betaMin),
      betaD: Number((Number(betaMax) - Number(betaMin)).toPrecision(14)),
    });
  }
  expect((await dry('--output', 'denoiser')).noiseLevels).toEqual((await dry()).noiseLevels);
  expect(await dry('--output', 'denoiser', '--p-mean', '-0.5')).toMatchObject({
    denoiser: { preconditioning: { process: { kind: 'edm', sigmaMin: 0.002, sigmaMax: 80 }, output: 'denoiser' } },
    noiseLevels: { kind: 'log-normal', pMean: -0.5, pStd: 1.2 },
  });
  // VP gives epsilon as published.
  expect(await dry('--precond', 'vp', '--output', 'epsilon', '--beta-max', '20')).toEqual(await dry('--precond', 'vp'));
});

test.each([
  ['vp', 'vp', []],
  ['ve', 've', []],
  ['iddpm', 'iddpm', []],
  ['sub-vp', 'sub-vp-epsilon', []],
  ['flow', 'flow-velocity', []],
  ['vp', 'vp-v', ['--output', 'v']],
  ['ve', 've-score', ['--output', 'score', '--weighting', 'epsilon']],
])('a run with --precond %s, called %s, trains and can be sampled from', async (precond, kind, more) => {
  const trained = await stf(train('--precond', precond, ...more, '--duration', '0.0002'));
  expect({ code: trained.code, stderr: trained.stderr }).toEqual({ code: 0, stderr: '' });
  const run = folder.join('runs', runName.replace('-edm-', `-${kind}-`));
  const out = folder.join('out');
  const draw = (...flags: string[]) =>
    stf(['sample', '--network', run, '--outdir', out, '--seeds', '0-3', '--steps', '4', ...flags]);
  const { code, stderr } = await draw('--sigma-min', '1e-7', '--sigma-max', '50');
  expect(code).toBe(0);
  expect(stderr).toContain(`The network (${kind}) does not know all noise levels from 1e-7 to 50: sampling from 50 to`);
  const rows = readFileSync(join(out, 'points.csv'), 'utf8').trimEnd().split('\n').slice(1);
  expect(rows).toHaveLength(4);
  expect(rows.every((row) => row.split(',').map(Number).every(Number.isFinite))).toBe(true);
  // No part of the wanted range is the network's.
  const outside = await draw('--sigma-min', '1e-7', '--sigma-max', '2e-7');
  expect(outside.code).toBe(2);
  expect(outside.stderr).toContain('--sigma-min must be above 0 and below --sigma-max');
});

test('a run leaves its files, says what it does, and can be sampled from', async () => {
  const { code, stdout, stderr } = await stf(train());
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const run = folder.join('runs', runName);
  const kept = ['checkpoint-000002', 'checkpoint-000003', 'checkpoint-000004'].map((name) => `${name}.safetensors`);
  // Event files have the time, the machine and the process in their names.
  const files = folder.list().map((name) => name.replace(/(events\.out\.tfevents)\..*/, '$1'));
  expect(files).toEqual(
    ['', ...kept, 'events.out.tfevents', 'log.txt', 'options.json', 'samples-000004.png', 'stats.jsonl', 'summary.json']
      .map((name) => join('runs', runName, name).replace(/\/$/, ''))
      .concat('runs')
      .sort(),
  );
  expect(readFileSync(join(run, 'log.txt'), 'utf8')).toBe(stdout);

  // The first step is a tick of its own; then every 1000 images, counted in steps of 64: 16 steps.
  const ticks = await readStatistics(run);
  expect(ticks.map(({ values }) => values['Progress/kimg'].mean)).toEqual([0.064, 1.088, 2.112, 3.136, 4.032]);
  expect(ticks.map(({ values }) => values['Loss/loss'].num)).toEqual([64, 1024, 1024, 1024, 896]);
  expect(stdout.match(/^tick \d .*loss .*target var \(dsm\/stf\) low .*mid .*high/gm)).toHaveLength(5);
  // For every reference batch the stable target varies less than that of denoising score matching (Rao and Blackwell).
  for (const { values } of ticks)
    expect(values['Target/stf_variance/mid'].mean).toBeLessThan(values['Target/dsm_variance/mid'].mean);

  const { samples } = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')) as { samples: object };
  expect(samples).toMatchObject({ samples: 100, freshPoints: 20_000 });
  expect(stdout).toMatch(/sliced Wasserstein-1 [\d.]+, [\d.]+ % of the data's standard deviation/);
  expect(decodePng(readFileSync(join(run, 'samples-000004.png'))).width).toBeGreaterThan(600);

  const out = folder.join('out');
  const drawn = await stf(['sample', '--network', run, '--outdir', out, '--seeds', '7,0-2', '--batch', '3']);
  expect(drawn.code).toBe(0);
  expect(drawn.stdout).toMatch(/^4 samples in .*, 5 evaluations each/);
  const rows = readFileSync(join(out, 'points.csv'), 'utf8').trimEnd().split('\n');
  expect(rows.map((row) => row.split(',')[0])).toEqual(['seed', '7', '0', '1', '2']);
  expect(decodePng(readFileSync(join(out, 'scatter.png'))).width).toBeGreaterThan(600);
  // One seed alone, in another batch: the same point up to the rounding of other kernels (float32, 1e-5 of the data).
  await stf(['sample', '--network', run, '--outdir', folder.join('one'), '--seeds', '1', '--batch', '1']);
  const alone = readFileSync(folder.join('one', 'points.csv'), 'utf8').trimEnd().split('\n')[1].split(',').map(Number);
  rows[3].split(',').forEach((value, i) => expect(Math.abs(Number(value) - alone[i])).toBeLessThan(1e-5));

  // A second run gets the next number; the first is left alone.
  expect((await stf(train('--duration', '0.0001'))).stdout).toContain(
    `Run folder: ${folder.join('runs', runName.replace('00000', '00001'))}
`,
  );
});

test('an interrupted run goes on where it was, and ends as if it had not been interrupted', async () => {
  const straight = folder.join('straight');
  expect((await stf([...tinyRun, '--outdir', straight])).code).toBe(0);

  const interrupted = await stf(train(), (text, interrupt) => {
    if (text.startsWith('tick 2')) interrupt();
  });
  expect(interrupted.code).toBe(0);
  expect(interrupted.stderr).toBe(
    'Interrupted: finishing this step and writing a checkpoint. Once more quits at once.\n',
  );
  const run = folder.join('runs', runName);
  expect(interrupted.stdout).toMatch(/Interrupted at 2\.\d of 4 kimg in \d+s\. To go on: .*stf train --resume /);
  expect(interrupted.stdout).toContain(runName);

  const planned = await stf(['train', '--resume', run, '--dry-run']);
  expect(planned.stdout).toMatch(/of 4 kimg done, 1\.\d kimg remain\nDry run/);
  const resumed = await stf(['train', '--resume', run, '--threads', '1']);
  expect({ code: resumed.code, stderr: resumed.stderr }).toEqual({ code: 0, stderr: '' });
  expect(resumed.stdout).toMatch(/^Resuming .*: 2\.\d of 4 kimg done, 1\.\d kimg remain$/m);

  // All randomness follows from seed and step, and the state was saved whole: not a bit differs.
  const [a, b] = [join(straight, runName), run].map((path) => checkpointAt(path, 'checkpoint-000004.safetensors'));
  expect(b.progress.step).toBe(a.progress.step);
  for (const name of trainingVectors)
    expect(Buffer.compare(Buffer.from(a.vectors[name].buffer), Buffer.from(b.vectors[name].buffer)), name).toBe(0);

  const again = await stf(['train', '--resume', run]);
  expect(again).toMatchObject({ code: 0, stderr: '' });
  expect(again.stdout).toMatch(/4\.0 of 4 kimg done, 0\.0 kimg remain\. A longer --duration goes on\./);
});

test('a checkpoint file of no run goes on in a new one, with the state of the optimiser', async () => {
  expect((await stf(train())).code).toBe(0);
  const run = folder.join('runs', runName);
  const alone = folder.join('alone.safetensors');
  copyFileSync(join(run, 'checkpoint-000004.safetensors'), alone);
  const onward = ['--duration', '0.005', '--threads', '1'];

  const planned = await stf(['train', '--resume', alone, '--outdir', folder.join('new'), ...onward, '--dry-run']);
  expect({ code: planned.code, stderr: planned.stderr }).toEqual({ code: 0, stderr: '' });
  expect(planned.stdout).toMatch(/Resumes: .*alone\.safetensors: 4\.0 of 5 kimg done.*\nRun folder: .*new\/00000-/);
  expect((await stf(['train', '--resume', alone, '--outdir', folder.join('new'), ...onward])).code).toBe(0);
  expect((await stf(['train', '--resume', run, ...onward])).code).toBe(0);

  // The run that is resumed in its own folder is the oracle: the same steps from the same state.
  const [a, b] = [run, folder.join('new', runName)].map((at) => checkpointAt(at, 'checkpoint-000005.safetensors'));
  expect(b.progress.step).toBe(a.progress.step);
  for (const name of trainingVectors)
    expect(Buffer.compare(Buffer.from(a.vectors[name].buffer), Buffer.from(b.vectors[name].buffer)), name).toBe(0);

  // What it is trained with may be another thing, the network may not.
  const changed = await stf([
    'train',
    '--resume',
    alone,
    '--objective',
    'dsm',
    '--lr',
    '0.1',
    '--dropout',
    '0.2',
    '--dry-run',
  ]);
  expect(JSON.parse(changed.stdout.slice(0, changed.stdout.indexOf('\n}\n') + 3))).toMatchObject({
    objective: { kind: 'dsm' },
    learningRate: 0.1,
    denoiser: { network: { width: 16, dropout: 0.2 } },
  });
  for (const [flags, message] of [
    [['--width', '24'], "--width can't be changed when training goes on from a checkpoint: it is 16, got 24."],
    [['--precond', 've'], "--precond can't be changed when training goes on from a checkpoint: it is edm, got ve."],
    [
      ['--data', 'two-gaussians', '--dimension', '3'],
      '--data two-gaussians: the network of the checkpoint is for samples of shape [2], and these have [3].',
    ],
  ] as const) {
    const refused = await stf(['train', '--resume', alone, ...flags, '--dry-run']);
    expect(refused).toMatchObject({ code: 2, stderr: `stf train: ${message}\n` });
  }
});

test('the sampler stays within the noise levels that are trained, and says so', async () => {
  const { code, stdout, stderr } = await stf([
    'train',
    '--precond',
    've',
    '--sigma-max',
    '300',
    '--sigma-min',
    '0.5',
    '--dry-run',
  ]);
  expect(code).toBe(0);
  expect(stderr).toBe('--sigma-max 300: the network (ve) is not trained for it; taking 100.\n');
  expect(JSON.parse(stdout.slice(0, stdout.indexOf('\n}\n') + 3))).toMatchObject({
    samples: { sigmaMin: 0.5, sigmaMax: 100 },
  });
});

test('a damaged checkpoint is passed over, set aside, and what came after the one before is forgotten', async () => {
  expect((await stf(train())).code).toBe(0);
  const run = folder.join('runs', runName);
  const newest = join(run, 'checkpoint-000004.safetensors');
  truncateSync(newest, 1000);
  const refused = await stf(['train', '--resume', newest]);
  expect(refused.code).toBe(2);

  const resumed = await stf(['train', '--resume', run, '--threads', '1', '--duration', '0.005']);
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).toMatch(/^passed over a damaged checkpoint: .*checkpoint-000004\.safetensors: .*truncated/);
  expect(resumed.stdout).toContain('Resuming ' + join(run, 'checkpoint-000003.safetensors'));
  expect(folder.list()).toContain(join('runs', runName, 'checkpoint-000004.safetensors.damaged'));
  const kimg = (await readStatistics(run)).map(({ values }) => values['Progress/kimg'].mean);
  expect(
    kimg.every((value, i) => i === 0 || value > kimg[i - 1]),
    `increasing: ${kimg}`,
  ).toBe(true);
  expect(kimg.at(-1)).toBeGreaterThanOrEqual(5);
  expect(JSON.parse(readFileSync(join(run, 'options.json'), 'utf8'))).toMatchObject({ durationKimg: 5 });
});

test('the learning rate may be lowered when a run goes on, and the summary begins with its first tick', async () => {
  expect((await stf(train())).code).toBe(0);
  const run = folder.join('runs', runName);
  const more = ['--threads', '1', '--duration', '0.005', '--lr', '1e-4', '--lr-ramp', '0'];
  const { code, stderr } = await stf(['train', '--resume', run, ...more]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const ticks = await readStatistics(run);
  const last = ticks.at(-1)!.values['Optimizer/learning_rate'];
  expect(last.num).toBe(16);
  expect(last.mean).toBeCloseTo(1e-4, 15); // a mean of 16 equal values, up to the rounding of their sum
  expect(ticks[0].values['Optimizer/learning_rate'].mean).toBe(0); // the ramp of the first session
  expect(JSON.parse(readFileSync(join(run, 'options.json'), 'utf8'))).toMatchObject({
    learningRate: 1e-4,
    learningRateRampKimg: 0,
  });
  expect(JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8'))).toMatchObject({
    firstTick: ticks[0],
    lastTick: ticks.at(-1),
  });
});

test('an older checkpoint of a run is not taken up while there are newer ones', async () => {
  expect((await stf(train())).code).toBe(0);
  const { code, stderr } = await stf([
    'train',
    '--resume',
    folder.join('runs', runName, 'checkpoint-000003.safetensors'),
  ]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/is not the newest checkpoint of its run, checkpoint-000004\.safetensors is\./);
});

test('interrupting before training begins leaves nothing', async () => {
  const controller = new AbortController();
  controller.abort();
  const { run } = await import('../../src/cli/run.ts');
  let stderr = '';
  const code = await run(train(), {
    stdout: { write: () => {} },
    stderr: { write: (text) => (stderr += text) },
    interrupt: controller.signal,
  });
  expect({ code, stderr }).toEqual({
    code: 130,
    stderr: 'stf train: interrupted; training had not begun, and nothing was written\n',
  });
  expect(folder.list()).toEqual([]);
});

test('class-conditional points: classes in turn, or the one that is asked for', async () => {
  expect((await stf(train('--data', 'two-moons', '--cond', '--duration', '0.0005'))).code).toBe(0);
  const run = folder.join('runs', '00000-two-moons-cond-mlp-edm-stf128-batch64-fp32');
  const points = async (...more: string[]): Promise<string[]> => {
    rmSync(folder.join('out'), { recursive: true, force: true });
    await stf(['sample', '--network', run, '--outdir', folder.join('out'), '--seeds', '0-1', ...more]);
    return readFileSync(folder.join('out', 'points.csv'), 'utf8').trimEnd().split('\n').slice(1);
  };
  const [inTurn, first, second] = [await points(), await points('--class', '0'), await points('--class', '1')];
  expect(inTurn).toEqual([first[0], second[1]]);
  expect(first[1]).not.toBe(second[1]);
  expect((await stf(['sample', '--network', run, '--class', '2'])).stderr).toContain(
    '--class must be an integer from 0 to 1, got 2.',
  );
});

test.each([
  ['bank', ['--reference-batch', '96'], 'stf-bank96'],
  ['nearest', ['--neighbours', '8', '--reference-batch', '32', '--gate', '0.1,5'], 'stf-nearest8+32-gate0.1-5'],
  ['all', [], 'stf-all'],
])('references from %s train, and the folder says so', async (kind, more, name) => {
  const own = train('--references', kind, ...more, '--max-images', '500', '--duration', '0.0005');
  own.splice(own.indexOf('--reference-batch'), 2);
  expect(await stf(own)).toMatchObject({ code: 0 });
  const run = folder.join('runs', runName.replace('stf128', name));
  const { objective } = JSON.parse(readFileSync(join(run, 'options.json'), 'utf8')) as TrainingOptions;
  expect(objective).toMatchObject({ kind: 'stf', references: { kind } });
});

test('statistics that are not ours are not touched', async () => {
  expect((await stf(train('--duration', '0.0005'))).code).toBe(0);
  const run = folder.join('runs', runName);
  writeFileSync(join(run, 'stats.jsonl'), 'not json\n{"timestamp":1}\n');
  const { code, stderr } = await stf(['train', '--resume', run, '--duration', '0.001']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/stats\.jsonl, line 1 is not JSON of a tick: not json\n$/);
});

test('a run that diverges stops with exit code 1 and saves the state before it did', async () => {
  const { code, stderr } = await stf(train('--lr', '1e30', '--lr-ramp', '0'));
  expect(code).toBe(1);
  expect(stderr).toMatch(/^stf train: step \d+: .* is (NaN|Infinity).*smaller learning rate.*\n$/);
  const { checkpoint } = await findCheckpoint(folder.join('runs', runName));
  for (const name of trainingVectors) expect(checkpoint.vectors[name].every(Number.isFinite), name).toBe(true);
});

test('a run that diverges in its last step says so at the step, with its state saved', async () => {
  // The rate of the first step is 0, and no third one meets what the second made of the weights.
  const { code, stderr } = await stf(train('--lr', '1e30', '--lr-ramp', '0', '--duration', '0.000128'));
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^stf train: training diverged by step 2: the sample of seed 0 is NaN, .* Its state was saved; .*\n$/,
  );
  const { checkpoint } = await findCheckpoint(folder.join('runs', runName));
  expect(checkpoint.progress).toMatchObject({ nimg: 128, step: 2 });
});

test('ticks below a thousand images have checkpoints and samples of their own, also in a run that goes on', async () => {
  const fine = ['--tick', '0.2', '--snap', '1', '--sample-ticks', '2', '--keep', '3'];
  expect((await stf(train(...fine, '--duration', '0.0013'))).code).toBe(0);
  const run = folder.join('runs', runName);
  const names = (pattern: RegExp): string[] =>
    readdirSync(run)
      .filter((name) => pattern.test(name))
      .sort();
  // Steps of 64: the first one behind each 200 images, 256 apart, and the last one behind 1300.
  expect(names(/^checkpoint-/)).toEqual(
    ['000000.832', '000001.088', '000001.344'].map((kimg) => `checkpoint-${kimg}.safetensors`),
  );
  expect(names(/^samples-/)).toEqual(['000000.576', '000001.088', '000001.344'].map((kimg) => `samples-${kimg}.png`));
  truncateSync(join(run, 'checkpoint-000001.344.safetensors'), 1000);
  const resumed = await stf(['train', '--resume', run, '--tick', '1', '--duration', '0.0018']);
  expect(resumed.code).toBe(0);
  expect(resumed.stdout).toContain('Resuming ' + join(run, 'checkpoint-000001.088.safetensors'));
  // Names in whole thousands would come before those that are there.
  expect(names(/^checkpoint-.*safetensors$/).at(-1)).toBe('checkpoint-000001.856.safetensors');
  expect((await findCheckpoint(run)).checkpoint.progress.nimg).toBe(1856);
});

test('a length that the run has passed is refused', async () => {
  expect((await stf(train('--duration', '0.0005'))).code).toBe(0);
  const run = folder.join('runs', runName);
  const before = folder.list();
  expect(await stf(['train', '--resume', run, '--duration', '0.0001'])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: 'stf train: --duration must be above the 0.000512 million images that the run has seen, got 0.0001.\n',
  });
  expect(folder.list()).toEqual(before);
  // Its own length is where it ended, one step beyond.
  expect((await stf(['train', '--resume', run, '--duration', '0.0005'])).code).toBe(0);
});

test('more references than data are told, and samples of a file are compared with its own points', async () => {
  const file = folder.join('points.csv');
  writeFileSync(file, Array.from({ length: 100 }, (_, i) => `${Math.sin(i)},${Math.cos(i)}`).join('\n'));
  const { code, stdout, stderr } = await stf(train('--data', file, '--duration', '0.0002'));
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr:
      '--reference-batch 128: the data have 100 samples, and one that comes again counts once. --references all takes every one of them.\n',
  });
  expect(stdout).toContain("of the data's standard deviation (100 samples, 100 training points)");
});

test('a failure that nobody foresaw is one line, with exit code 1', async () => {
  expect((await stf(train('--duration', '0.0005'))).code).toBe(0);
  const run = folder.join('runs', runName);
  rmSync(join(run, 'stats.jsonl'));
  mkdirSync(join(run, 'stats.jsonl'));
  const { code, stderr } = await stf(['train', '--resume', run, '--duration', '0.001']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^stf train: unexpected Error: EISDIR.* \(STF_DEBUG=1 shows where it comes from\)\n$/);
});

test('float16 is refused on the processor before anything is written', async () => {
  const { code, stderr } = await stf([
    'train',
    '--preset',
    'toy-2d',
    '--precision',
    'float16',
    '--outdir',
    folder.join('half'),
  ]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr:
      'stf train: --precision float16: the processor has no such arithmetic, and the engine would compute in float32. ' +
      'Choose --device webgpu or cuda, or --precision float32.\n',
  });
  expect(existsSync(folder.join('half'))).toBe(false);
  const dry = await stf(['train', '--preset', 'toy-2d', '--precision', 'float16', '--dry-run']);
  expect(dry.stdout).toContain('"precision": "float16"');
  expect(dry.stdout).toMatch(/Run folder: .*-fp16/);
});

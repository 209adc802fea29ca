import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { readOnnxMetadata } from '../../src/graph/index.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { packageVersion } from '../../src/node/doctor.ts';
import { encodeCheckpoint } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { imageOptions, noisyWeights } from '../devices/small-images.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';

const folder = temporaryFolder();
const threads = ['--threads', '1'];

/** Writes a checkpoint of the small network of images with three classes. */
function imageCheckpoint(change: (weights: Float32Array) => Float32Array = (weights) => weights): string {
  const options: TrainingOptions = { ...imageOptions, samples: { ...imageOptions.samples, steps: 4 } };
  const weights = noisyWeights(options);
  const ema = change(weights);
  const file = folder.join('images.safetensors');
  const checkpoint = encodeCheckpoint({
    options,
    progress: { nimg: 12_500, step: 100, tick: 1, seconds: 1 },
    table: parameterTable((source) => makeDenoiser(source, options.denoiser)),
    vectors: { weights, ema, 'adam.m': weights, 'adam.v': weights },
  });
  writeFileSync(file, checkpoint);
  return file;
}

const metadataOf = (file: string): Record<string, string> => readOnnxMetadata(readFileSync(file));

test('a network of images is exported, compared, and says what it is', async () => {
  const out = folder.join('new', 'models');
  const { code, stdout, stderr } = await stf(['export', imageCheckpoint(), '--out', out, ...threads]);
  expect({ code }).toEqual({ code: 0 });
  const [denoiser, sampler] = stdout.trim().split('\n');
  expect(denoiser).toMatch(/denoiser\.onnx: differs from this program's by \d\.\de-\d of the largest value/);
  expect(sampler).toMatch(/sampler\.onnx: [0-3] of 384 pixels differ from this program's, by [01] grey levels at most/);
  expect(stderr).toMatch(/sampler\.onnx: 0\.\d MB of .*images\.safetensors; comparing/);
  expect(stderr).toMatch(/The sampler has 4 steps, 7 evaluations, from noise level 80 to 0\.002/);
  expect(folder.list().filter((each) => each.endsWith('.onnx'))).toEqual([
    join('new', 'models', 'denoiser.onnx'),
    join('new', 'models', 'sampler.onnx'),
  ]);
  expect(metadataOf(join(out, 'sampler.onnx'))).toMatchObject({
    format: 'stf-sampler/1',
    name: 'images',
    license: 'unspecified',
    version: packageVersion,
    kimg: '12.5',
    classes: '3',
    steps: '4',
  });
});

test('name, licence, weights and the settings of the sampler can be chosen', async () => {
  const file = imageCheckpoint((weights) => weights.map((value) => 0.9 * value));
  const out = folder.join('chosen');
  const sampler = ['--steps', '3', '--sigma-min', '0.01', '--sigma-max', '50', '--rho', '5'];
  const told = ['--name', 'small images', '--license', 'CC-BY-4.0', '--weights', 'weights'];
  expect(await stf(['export', '--network', file, '--out', out, ...sampler, ...told, ...threads])).toMatchObject({
    code: 0,
  });
  const { noise_levels, ...metadata } = metadataOf(join(out, 'denoiser.onnx'));
  expect(metadata).toMatchObject({ name: 'small images', license: 'CC-BY-4.0', steps: '3', sigma_max: '50', rho: '5' });
  expect(JSON.parse(noise_levels)).toHaveLength(4);
  const ema = folder.join('ema');
  expect((await stf(['export', file, '--out', ema, ...threads])).code).toBe(0);
  const bytes = [out, ema].map((each) => readFileSync(join(each, 'denoiser.onnx')));
  expect(bytes[0].equals(bytes[1])).toBe(false);
});

test('a run on points is exported by its folder', async () => {
  const runs = folder.join('runs');
  expect((await stf([...tinyRun, '--outdir', runs])).code).toBe(0);
  const [name] = folder.list().filter((each) => /^runs.00000-[^\\/]*$/.test(each));
  const out = folder.join('points');
  const { code, stdout } = await stf(['export', folder.join(name), '--out', out, ...threads]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/sampler\.onnx: differs from this program's by \d/);
  expect(metadataOf(join(out, 'sampler.onnx'))).toMatchObject({
    name: name.slice('runs/'.length),
    sample_shape: '[2]',
    data_range: 'unbounded',
  });
});

test('a model that does not compute what it should is an error, and is not left behind', async () => {
  // No number is as far from a number as can be, and such a checkpoint is what a diverged run leaves.
  const file = imageCheckpoint((weights) => weights.fill(NaN));
  const { code, stdout, stderr } = await stf(['export', file, '--out', folder.join('out'), ...threads]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/stf export: .*denoiser\.onnx does not compute what it should, and is removed: .* NaN/);
  expect(folder.list()).toEqual(['images.safetensors', 'out']);
});

test('wrong use is answered before anything is written', async () => {
  const file = imageCheckpoint();
  const refusals: [argv: string[], message: RegExp][] = [
    [['--out', folder.join('a')], /which network\? Give a run folder or a checkpoint file/],
    [[file, '--network', file, '--out', folder.join('a')], /give one network/],
    [[file], /required option '--out <PATH>'/],
    [
      [file, '--out', folder.join('a'), '--sigma-min', '90'],
      /--sigma-min must be .* below --sigma-max, .* Are they swapped\?/,
    ],
    [[file, '--out', folder.join('a'), '--steps', '1'], /--steps must be an integer from 2 to 100000, got 1/],
    [[file, '--out', folder.join('a'), '--format', 'onxx'], /--format: unknown value "onxx"/],
    [[file, '--out', folder.join('a'), '--format', 'torch'], /--out must end in \.safetensors/],
    [[file, '--out', folder.join('a.safetensors'), '--steps', '9'], /--steps is for --format onnx/],
    [[folder.join('missing'), '--out', folder.join('a')], /missing/],
  ];
  for (const [argv, message] of refusals) {
    const { code, stderr } = await stf(['export', ...argv]);
    expect({ code, argv }).toEqual({ code: 2, argv });
    expect(stderr).toMatch(message);
  }
  mkdirSync(folder.join('b'));
  writeFileSync(folder.join('b', 'sampler.onnx'), 'mine');
  expect(await stf(['export', file, '--out', folder.join('b')])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('exists already') as string,
  });
  expect(readFileSync(folder.join('b', 'sampler.onnx'), 'utf8')).toBe('mine');
  expect(folder.list()).toEqual(['b', join('b', 'sampler.onnx'), 'images.safetensors']);
});

/** Runs a program of Python; what it printed, or why it can't be run. */
function python(program: string, cwd: string, ...packages: string[]): { output: string } | { missing: string } {
  for (const each of packages) {
    const found = spawnSync('python3', ['-c', `import ${each}`]);
    if (found.status !== 0) return { missing: `python3 with the package ${each} is not installed` };
  }
  const { status, stdout, stderr } = spawnSync('python3', ['-c', program], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return { output: stdout };
}

test('the Python of docs/export.md runs, for images with classes', async (context) => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/export.md'), 'utf8');
  const snippets = [...docs.matchAll(/```python\n(.*?)```/gs)].map(([, text]) => text);
  expect(snippets).toHaveLength(2);
  const out = folder.join('models');
  expect((await stf(['export', imageCheckpoint(), '--out', out, ...threads])).code).toBe(0);
  // Euler's method with as few steps is no Heun, but both begin at the same noise and end in data of the same size.
  const report = 'print(json.dumps([pictures.shape, str(pictures.dtype), x.shape, float(np.abs(x).max())]))';
  const result = python([...snippets, report].join('\n'), out, 'numpy', 'onnxruntime');
  if ('missing' in result) return context.skip(result.missing);
  const [pictures, dtype, x, largest] = JSON.parse(result.output) as [number[], string, number[], number];
  expect([pictures, dtype, x]).toEqual([[16, 8, 8, 3], 'uint8', [16, 3, 8, 8]]);
  expect(largest).toBeGreaterThan(0);
  expect(largest).toBeLessThan(20);
});

test('the files are valid by the rules of ONNX', async (context) => {
  const out = folder.join('models');
  expect((await stf(['export', imageCheckpoint(), '--out', out, ...threads])).code).toBe(0);
  const check = `
import onnx
for name in ['denoiser.onnx', 'sampler.onnx']:
    model = onnx.load(name)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True, data_prop=True)
    print(name)`;
  const result = python(check, out, 'onnx');
  if ('missing' in result) return context.skip(result.missing);
  expect(result.output).toBe('denoiser.onnx\nsampler.onnx\n');
});

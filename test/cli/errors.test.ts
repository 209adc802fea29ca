import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { trainFlags } from '../../src/cli/train-flags/index.ts';
import { newRunOptions } from '../../src/cli/train-options.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { encodeCheckpoint } from '../../src/training/index.ts';
import type { PresetName, TrainingOptions } from '../../src/training/index.ts';
import { stf, temporaryFolder, tinyRun } from './support.ts';

const folder = temporaryFolder();
afterEach(() => vi.unstubAllEnvs());

/** Expects exit code 2, one line on stderr, nothing on stdout, and that no file was made or changed. */
async function expectRefused(argv: readonly string[], message: string | RegExp): Promise<void> {
  const before = folder.list();
  const { code, stdout, stderr } = await stf(argv);
  expect(stderr).toMatch(message);
  expect(stderr.split('\n'), 'one line').toHaveLength(2);
  expect(stderr, 'no stack').not.toMatch(/\n\s+at /);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(folder.list()).toEqual(before);
}

test('of all options of stf train, a value that is refused is refused by the name that was typed', () => {
  const values = ['0', '1', '3', '-1', '0.5', '1e-300', '1e9', '1e12', '1e300', '1,2,3', '1,1e9', 'none'];
  const bases = [
    {},
    { preset: 'toy-2d' },
    { precond: 've' },
    { precond: 'iddpm' },
    { precond: 'flow' },
    { arch: 'adm' },
  ];
  const unnamed: string[] = [];
  for (const { preset = 'quickstart', ...base } of bases as (Record<string, string> & { preset?: PresetName })[])
    for (const { name } of trainFlags)
      for (const value of values) {
        const given = new Map(Object.entries({ ...base, [name]: value }));
        try {
          newRunOptions(preset, given);
        } catch (error) {
          const { message } = error as Error;
          if (!/--[a-z]/.test(message)) unnamed.push(`--${name} ${value}: ${message}`);
        }
      }
  expect(unnamed).toEqual([]);
});

test('an error of a rank that comes after a signal is told, since no other rank may know of it', async () => {
  vi.stubEnv('OMPI_COMM_WORLD_SIZE', '2');
  vi.stubEnv('OMPI_COMM_WORLD_RANK', '1');
  let stderr = '';
  const stream = (show: (text: string) => void) => ({ columns: 100, write: show });
  const code = await run(['train', '--batch', '0'], {
    stdout: stream(() => {}),
    stderr: stream((text) => (stderr += text)),
    interrupt: AbortSignal.abort('SIGTERM'),
  });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^stf train: rank 1 of 2 on \S+: --batch must be an integer/);
});

describe('a command line that makes no sense', () => {
  test.each<[string, string, RegExp]>([
    ['unknown command', 'trian', /^stf: unknown command 'trian' \(Did you mean train\?\)$/m],
    ['unknown option', 'train --bacth 3', /^stf train: unknown option '--bacth' \(Did you mean --batch\?\)$/m],
    ['missing value', 'train --batch', /^stf train: option '--batch <INT>' argument missing$/m],
    ['extra argument', 'train cifar10', /^stf train: too many arguments/],
    ['missing option', 'sample', /^stf sample: required option '--network <PATH>' not specified$/m],
    [
      'unknown preset',
      'train --preset best',
      /--preset: unknown value "best". Choose one of: quickstart, toy-2d, cifar/,
    ],
    ['unknown data', 'train --data mnist', /--data: unknown value "mnist". Choose one of: cifar10, eight-gaussians,/],
    ['unknown data set', 'dataset fetch mnist', /^stf dataset fetch: .*"mnist". Choose one of: cifar10\.$/m],
    ['impossible batch', 'train --batch 0', /^stf train: --batch must be an integer of at least 1, got 0\.$/m],
    ['impossible duration', 'train --duration -1', /--duration must be a number above 0 and at most 1000000, got -1\./],
    [
      'endless duration',
      'train --duration 1e300',
      /--duration must be a number above 0 and at most 1000000, got 1e300\./,
    ],
    [
      'a switch both ways',
      'train --cond --no-cond -n',
      /^stf train: --cond and --no-cond are both given: choose one\.$/m,
    ],
    [
      'unknown claim',
      'reproduce nope',
      /^stf reproduce: claim: unknown value "nope"\. Choose one of: phases, variance-/,
    ],
    ['impossible learning rate', 'train --lr fast', /--lr must be a number above 0, got fast\./],
    // Limits that the library keeps, by the names that were typed.
    ['too wide', 'train --cbase 1e9', /^stf train: --cbase must be at most 1000000, got 1e9\.$/m],
    ['too wide a level', 'train --cres 1,1e9', /^stf train: --cres must be at most 1000000, got 1,1e9\.$/m],
    ['too deep', 'train --blocks 1e6', /^stf train: --blocks must be at most 1000, got 1e6\.$/m],
    [
      'no such points',
      'train --preset toy-2d --dimension 1',
      /^stf train: --dimension must be 2, got 1\. two-gaussians/,
    ],
    ['impossible threads', 'train --threads 0', /--threads must be an integer of at least 1, got 0\./],
    ['too many threads', 'train --threads 99999', /--threads must be at most \d+ on this machine, got 99999: it has/],
    ['impossible seeds', 'sample --network x --seeds 9-1', /--seeds must be numbers and ranges .* got "9-1"\./],
    [
      'reference batch below the batch',
      'train --batch 32 --reference-batch 16',
      /^stf train: --reference-batch must be at least --batch \(32\), got 16\. /,
    ],
    [
      'references without their objective',
      'train --objective dsm --reference-batch 64',
      /--reference-batch is an option of --objective stf/,
    ],
    [
      'rounds that do not divide',
      'train --batch 32 --rounds 5',
      /--batch \(32\) must be divisible by --rounds, got 5\./,
    ],
    ['points for a U-Net', 'train --data two-moons --arch ddpmpp', /--arch ddpmpp needs images, .* Choose --arch mlp/],
    [
      'an option of the other network',
      'train --arch mlp --cbase 32',
      /--cbase is an option of --arch ddpmpp, ncsnpp and adm/,
    ],
    [
      'attention without a head',
      'train --arch adm --cbase 16',
      /--attn: adm attends with a head for every 64 channels, and has 32 at resolution 8\. Choose .* --attn none\./,
    ],
    ['widths that do not divide', 'train --cbase 30', /no network can be built from --arch ddpmpp --cbase 30 .*groups/],
    [
      'attention nowhere',
      'train --attn 7',
      /--attn: the network has no level of resolution 7. Choose from: 32, 16, 8, 4, none\./,
    ],
    [
      'unknown process',
      'train --precond ddim',
      /--precond: unknown value "ddim". Choose one of: edm, vp, ve, iddpm, sub-/,
    ],
    [
      'unknown output',
      'train --output noise',
      /--output: unknown value "noise". Choose one of: denoiser, epsilon, score/,
    ],
    ['unknown weight', 'train --weighting snr', /--weighting: unknown value "snr". Choose one of: network, denoiser/],
    [
      'iDDPM that gives something else',
      'train --precond iddpm --output v',
      /--output: networks of --precond iddpm give epsilon, got v\. Choose --precond edm, vp, ve, sub-vp or flow\./,
    ],
    [
      'a noise rate that falls',
      'train --precond vp --beta-max 0.05',
      /^stf train: --beta-min must be below --beta-max, got 0\.1 and 0\.05\.$/m,
    ],
    [
      'a constant of another schedule',
      'train --precond ve --beta-min 1',
      /--beta-min is an option of --precond vp, sub-vp, and the preconditioning is ve\./,
    ],
    [
      'noise levels without a schedule',
      'train --process-sigma-max 50',
      /--process-sigma-max is an option of --precond ve, or edm with --output, and the preconditioning is edm\./,
    ],
    [
      'swapped noise levels',
      'train --precond ve --process-sigma-min 60 --process-sigma-max 50',
      /--process-sigma-min must be below --process-sigma-max, got 60 and 50\. Are they swapped\?/,
    ],
    [
      'data for another output',
      'train --output denoiser --sigma-data 1',
      /--sigma-data is an option of --precond edm without --output, which asks for denoiser\./,
    ],
    [
      'augmentation beyond certainty',
      'train --augment 2',
      /--augment must be a number at least 0 and at most 1, got 2\./,
    ],
    [
      'an unknown transform',
      'train --augment 0.1 --augment-with flip',
      /--augment-with: unknown transform "flip"\. Choose from: x-flip, y-flip, rotate-int,/,
    ],
    ['transforms that never happen', 'train --augment-with x-flip', /--augment-with needs .* with --augment\./],
    ['augmented points', 'train --data two-moons --augment 0.1', /--augment is for images, and two-moons has points\./],
    ['mirrored points', 'train --data two-moons --xflip', /--xflip is for images, and two-moons has points\./],
    ['hiding classes without any', 'train --label-dropout 0.1', /--label-dropout needs .* \(--cond\), got 0\.1\./],
    [
      'references of an objective that has none',
      'train --objective dsm --references bank',
      /--references is an option of --objective stf, and the objective is dsm\./,
    ],
    [
      'references that nobody knows',
      'train --references everything',
      /--references: unknown value "everything"\. Choose one of: batch, fresh, bank, class-bank, nearest, all\./,
    ],
    [
      'a number of references where the source says how many',
      'train --references all --reference-batch 64',
      /--reference-batch does not go with --references all, which says how many\./,
    ],
    [
      'a class bank without classes',
      'train --references class-bank',
      /--references class-bank needs a class-conditional/,
    ],
    [
      'neighbours of other sources',
      'train --neighbours 8',
      /--neighbours is an option of --objective stf with --references nearest\./,
    ],
    ['a gate upside down', 'train --gate 20,2', /--gate must rise from MIN to MAX, got 20,2\./],
    [
      'a gate with one end',
      'train --gate 2',
      /--gate must be two noise levels with a comma between, such as 2,20, got "2"\./,
    ],
    ['mixing classes without any', 'train --mix-labels', /--mix-labels needs a class-conditional network \(--cond\)\./],
    [
      'mixing classes without references',
      'train --cond --objective dsm --mix-labels',
      /--mix-labels is an option of --objective stf, and the objective is dsm\./,
    ],
    ['a beta of 1', 'train --beta2 1', /--beta2 must be a number at least 0 and below 1, got 1\./],
    [
      'noise levels swapped',
      'train --sigma-min 90',
      /--sigma-min must be below --sigma-max, got 90 and 80\. Are they swapped/,
    ],
    [
      'more steps than there is memory for',
      'train --precond iddpm --noise-steps 1000000000',
      /--noise-steps must be an integer from 2 to 100000, got 1000000000\./,
    ],
    ...(
      [
        ['--precond vp --beta-max 1e6', '--beta-max'],
        ['--precond sub-vp --beta-max 200', '--beta-max'],
        ['--precond ve --process-sigma-max 1e300', '--process-sigma-max'],
        ['--output v --process-sigma-max 1e7', '--p-mean, --p-std or --process-sigma-max'],
        ['--precond flow --epsilon-t 1e-9', '--epsilon-t'],
        ['--precond iddpm --c1 1e-9', '--c1, --c2 or --noise-steps'],
        ['--p-mean 100', '--p-mean, --p-std or --process-sigma-max'],
      ] as const
    ).map(([flags, named]): [string, string, RegExp] => [
      `noise beyond float32: ${flags}`,
      `train ${flags}`,
      new RegExp(`^stf train: ${named}: the largest noise level that is trained must be at most 1000000, got `),
    ]),
    [
      'a sampler outside the noise levels that are trained',
      'train --precond ve --sigma-min 200 --sigma-max 300',
      /--sigma-min and --sigma-max must overlap with the noise levels that are trained, 0\.02 to 100, got 200 and 300\./,
    ],
    [
      'as many neighbours as images',
      'train --references nearest --max-images 50 --neighbours 50',
      /--neighbours must be below 50, the number of samples in the data set, got 50\./,
    ],
    [
      'more neighbours than images',
      'train --references nearest --neighbours 50000',
      /--neighbours must be below 50000, the number of samples in the data set, got 50000\./,
    ],
    [
      'more neighbours than points of a class can be',
      'train --data eight-gaussians --cond --references nearest --max-images 80 --neighbours 10',
      /--neighbours must be below 10, the number of samples that the smallest class can have, got 10\./,
    ],
    ['another resolution', 'train --resolution 64', /--resolution must be that of the data, 32, got 64\./],
    ['more images than there are', 'train --max-images 50001', /--max-images must be at most 50000, .* got 50001\./],
    ['classes that there are not', 'train --data swiss-roll --cond', /--cond needs classes, and swiss-roll has none\./],
    ['three coordinates in the plane', 'train --data two-moons --dimension 3', /dimension must be 2, got 3/],
    ['no such run', 'train --resume nowhere', /can't read nowhere: no such file or folder\./],
  ])('%s', async (_, line, message) => {
    const outdir = line.startsWith('train') ? ['--outdir', folder.join('runs')] : [];
    const [command, ...rest] = line.split(' ');
    await expectRefused([command, ...outdir, ...rest], message);
  });

  test('no command shows the help, on stderr', async () => {
    const { code, stdout, stderr } = await stf([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: stf /);
  });

  test('STF_DEBUG=1 shows where an error comes from', async () => {
    vi.stubEnv('STF_DEBUG', '1');
    const { code, stderr } = await stf(['train', '--batch', '0']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^stf train: --batch must be .*\nUsageError: .*\n\s+at /);
  });
});

describe('places that can not be written', () => {
  test('an output folder below a file', async () => {
    writeFileSync(folder.join('file'), '');
    const message = /^stf train: can't write in the folder .*runs: .*file is a file\.$/m;
    await expectRefused([...tinyRun, '--outdir', folder.join('file', 'runs')], message);
    await expectRefused([...tinyRun, '--outdir', folder.join('file', 'runs'), '--dry-run'], message);
  });

  test('an output folder that not even root can make', async ({ skip }) => {
    skip(process.platform !== 'linux', 'there is no /proc');
    await expectRefused(
      [...tinyRun, '--outdir', '/proc/stf/runs'],
      /^stf train: can't write in the folder \/proc\/stf/,
    );
  });

  test('an output folder of samples below a file', async () => {
    writeFileSync(folder.join('file'), '');
    writeFileSync(folder.join('checkpoint.safetensors'), checkpointOf(tinyOptions(16)));
    await expectRefused(
      ['sample', '--network', folder.join('checkpoint.safetensors'), '--outdir', folder.join('file', 'samples')],
      /^stf sample: can't write in the folder /,
    );
  });
});

describe('CIFAR-10', () => {
  const batch = (): string => folder.join('cifar-10', 'data_batch_1.bin');
  const argv = (): string[] => ['train', '--preset', 'quickstart', '--outdir', folder.join('runs')];

  test('that is not there', async () => {
    vi.stubEnv('STF_CACHE', folder.path);
    await expectRefused(
      argv(),
      /^stf train: .*data_batch_1\.bin: no such file or folder\. .*stf dataset fetch cifar10/,
    );
  });

  test('that is truncated', async () => {
    vi.stubEnv('STF_CACHE', folder.path);
    mkdirSync(folder.join('cifar-10'));
    writeFileSync(batch(), 'short');
    await expectRefused(argv(), /data_batch_1\.bin has 5 bytes, expected 30730000\. .*stf dataset fetch cifar10/);
  });

  test('that is altered', async () => {
    vi.stubEnv('STF_CACHE', folder.path);
    mkdirSync(folder.join('cifar-10'));
    writeFileSync(batch(), new Uint8Array(30_730_000));
    await expectRefused(argv(), /data_batch_1\.bin is altered: its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}\./);
  });
});

const tinyOptions = (width: number): TrainingOptions =>
  newRunOptions(
    'toy-2d',
    new Map([
      ['width', String(width)],
      ['blocks', '1'],
    ]),
  );

/** A checkpoint with weights of 0; `tensorsOf` gives it the tensors of another network. */
function checkpointOf(options: TrainingOptions, tensorsOf = options): Uint8Array {
  const table = parameterTable((source) => makeDenoiser(source, tensorsOf.denoiser));
  const zeros = new Float32Array(table.size);
  return encodeCheckpoint({
    options,
    table,
    progress: { nimg: 2048, step: 2, tick: 1, seconds: 1 },
    vectors: { weights: zeros, ema: zeros, 'adam.m': zeros, 'adam.v': zeros },
  });
}

describe('checkpoints', () => {
  const path = (): string => folder.join('checkpoint-000002.safetensors');
  const writeRun = (options: TrainingOptions, checkpoint: Uint8Array): void => {
    writeFileSync(folder.join('options.json'), JSON.stringify(options));
    writeFileSync(path(), checkpoint);
  };
  /** Both commands that read checkpoints, by file and by folder. */
  const commands = (): string[][] => [
    ['sample', '--network', path(), '--outdir', folder.join('out')],
    ['sample', '--network', folder.path, '--outdir', folder.join('out')],
    ['train', '--resume', path()],
    ['train', '--resume', folder.path],
  ];

  test('that are no checkpoints', async () => {
    for (const bytes of [new Uint8Array(0), new TextEncoder().encode('not a checkpoint, but long enough to be one')]) {
      writeRun(tinyOptions(16), bytes);
      for (const argv of commands())
        await expectRefused(argv, /^stf (sample|train): .*checkpoint-000002\.safetensors: safetensors: /);
    }
  });

  test('that are cut off anywhere', async () => {
    const whole = checkpointOf(tinyOptions(16));
    for (const share of [0.001, 0.02, 0.5, 0.999]) {
      writeRun(tinyOptions(16), whole.subarray(0, Math.floor(whole.length * share)));
      for (const argv of commands()) await expectRefused(argv, /checkpoint-000002\.safetensors: /);
    }
  });

  test('whose tensors belong to another network than their options', async () => {
    writeRun(tinyOptions(16), checkpointOf(tinyOptions(16), tinyOptions(24)));
    for (const argv of commands()) await expectRefused(argv, /it belongs to another network\./);
  });

  test('of another network than the run they lie in', async () => {
    writeRun(tinyOptions(16), checkpointOf(tinyOptions(24)));
    for (const argv of [
      ['train', '--resume', path()],
      ['train', '--resume', folder.path],
    ])
      await expectRefused(argv, /is a checkpoint of another network .*: an MLP of width 24 .*, not an MLP of width 16/);
  });

  test('that lie in a folder of no run', async () => {
    writeFileSync(path(), checkpointOf(tinyOptions(16)));
    await expectRefused(
      ['train', '--resume', folder.path],
      /options\.json: no such file or folder\. .* is not the folder of a run\./,
    );
    mkdirSync(folder.join('empty'));
    await expectRefused(['sample', '--network', folder.join('empty')], /empty has no checkpoint/);
  });

  test('that would be trained differently', async () => {
    writeRun(tinyOptions(16), checkpointOf(tinyOptions(16)));
    const before = readFileSync(path());
    const refused: [string[], RegExp][] = [
      [['--batch', '512'], /--batch can't be changed when a run is resumed: it is 1024, got 512\./],
      [['--beta1', '0.5'], /--beta1 can't be changed when a run is resumed: it is 0\.9, got 0\.5\./],
      [['--objective', 'dsm'], /--objective can't be changed when a run is resumed: it is stf, got dsm\./],
      [['--width', '24'], /--width can't be changed when a run is resumed: it is 16, got 24\./],
      [
        ['--data', 'two-moons'],
        /--data can't be changed when a run is resumed: it is eight-gaussians, got two-moons\./,
      ],
      [['--preset', 'toy-2d'], /--preset can't be given with --resume/],
    ];
    for (const [flags, message] of refused) await expectRefused(['train', '--resume', folder.path, ...flags], message);
    expect(readFileSync(path())).toEqual(before);
  });

  test('from which nothing like it can be drawn', async () => {
    writeRun(tinyOptions(16), checkpointOf(tinyOptions(16)));
    const argv = ['sample', '--network', folder.path, '--outdir', folder.join('out')];
    await expectRefused([...argv, '--class', '3'], /--class needs a class-conditional network/);
    await expectRefused(
      [...argv, '--sigma-min', '90'],
      /--sigma-min must be .* below --sigma-max, got --sigma-min = 90 and --sigma-max = 80/,
    );
  });
});

test('a folder of runs that is not there yet is told by the dashboard', async () => {
  const nope = folder.join('nope');
  const { code, stdout, stderr } = await stf(['serve', nope, '--port', '0'], (text, interrupt) => {
    if (text.includes('Ctrl-C')) interrupt();
  });
  expect(code).toBe(0);
  expect(stdout).toContain(`Runs of ${nope}: http://`);
  expect(stderr).toContain(`There is no folder ${nope} yet: its runs are shown as soon as there are some.`);
});

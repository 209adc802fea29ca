import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { memoryDataset } from '../../src/data/dataset.ts';
import { convertImages } from '../../src/node/dataset/convert.ts';
import { datasetSource } from '../../src/node/dataset/labelled-arrays.ts';
import { findCheckpoint } from '../../src/node/run-reader.ts';
import { withoutProgress } from '../support/progress-lines.ts';
import { temporaryFolder, tinyRun } from './support.ts';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'dist/src/cli/main.js');
const folder = temporaryFolder();

beforeAll(() => {
  if (!existsSync(main)) throw new Error(`${main} is missing: build first (npm run build).`);
});

/** Starts the built program and hands its process to `drive`; resolves when it has ended. */
function start(
  argv: readonly string[],
  drive: (child: ReturnType<typeof spawn>, stdout: string) => void = () => {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...argv], { cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    child.on('spawn', () => drive(child, ''));
    child.stdout.on('data', (part: Buffer) => {
      text.stdout += part.toString();
      drive(child, text.stdout);
    });
    child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: text.stdout, stderr: withoutProgress(text.stderr) }));
  });
}

/** Long enough to be interrupted: it would take many minutes. */
const longRun = [...tinyRun, '--duration', '100'];

describe('signals', () => {
  // npx passes its own copy of Ctrl-C on, so that two arrive: the second must not cut the checkpoint off.
  test.each([
    ['SIGINT', 0, 'Interrupted: finishing this step and writing a checkpoint. Once more quits at once.\n'],
    ['SIGHUP', 0, 'Interrupted: finishing this step and writing a checkpoint. Once more quits at once.\n'],
    [
      'SIGTERM',
      75,
      'SIGTERM: finishing this step and writing a checkpoint.\n' +
        'stf train: stopped by SIGTERM; the state is saved, and the run goes on with --resume\n',
    ],
    [
      'SIGUSR1',
      75,
      'SIGUSR1: finishing this step and writing a checkpoint.\n' +
        'stf train: stopped by SIGUSR1; the state is saved, and the run goes on with --resume\n',
    ],
  ] as const)(
    '%s, twice at once: a whole checkpoint and exit code %i',
    async (signal, expectedCode, expectedStderr) => {
      let sent = false;
      const { code, stdout, stderr } = await start([...longRun, '--outdir', 'runs'], (child, text) => {
        if (sent || !text.includes('tick 1 ')) return;
        sent = true;
        child.kill(signal);
        child.kill(signal);
      });
      expect({ code, stderr }).toEqual({ code: expectedCode, stderr: expectedStderr });
      const [run] = readdirSync(folder.join('runs'));
      expect(stdout).toMatch(/Interrupted at .* of 100000 kimg in .*\. To go on: .*stf train --resume runs\/00000-/);
      const { checkpoint, file } = await findCheckpoint(folder.join('runs', run));
      expect(stdout).toContain(`Interrupted at ${(checkpoint.progress.nimg / 1000).toFixed(1)} of`);
      expect(readdirSync(folder.join('runs', run)).filter((name) => /\.tmp$|^lock/.test(name))).toEqual([]);
      expect(file).toContain(run);
    },
  );
});

test('Ctrl-C in the middle of a conversion: neither the archive nor its temporary file is left', async () => {
  // Enough for a few seconds.
  const data = new Uint8Array(30_000 * 48);
  const source = datasetSource(memoryDataset({ name: 'many', data, sampleShape: [3, 4, 4] }), 'images', 'many');
  const many = folder.join('many.zip');
  await convertImages({ source, dest: many, transform: (picture) => picture });
  let wasBegun = false;
  const { code, stderr } = await start(['dataset', 'convert', many, '--dest', 'out.zip'], (child, text) => {
    if (text !== '') return;
    const looks = setInterval(() => {
      wasBegun = readdirSync(folder.path).some((name) => /^out\.zip\..*\.tmp$/.test(name));
      if (wasBegun || child.exitCode !== null) clearInterval(looks);
      if (wasBegun) child.kill('SIGINT');
    }, 5);
  });
  expect(wasBegun).toBe(true);
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('nothing was written') as string });
  expect(readdirSync(folder.path)).toEqual(['many.zip']);
});

test('threads that load data end with the run: whether it is complete or interrupted', async () => {
  const complete = await start([...tinyRun, '--outdir', 'runs', '--workers', '2']);
  expect(complete).toMatchObject({ code: 0, stderr: '' });
  expect(complete.stdout).toContain('Done: ');
  let sent = false;
  const { code, stdout } = await start([...longRun, '--outdir', 'runs', '--workers', '2'], (child, text) => {
    if (sent || !text.includes('tick 1 ')) return;
    sent = true;
    child.kill('SIGINT');
  });
  expect(code).toBe(0);
  expect(stdout).toContain('Interrupted at ');
});

describe.skipIf(process.platform === 'win32')('behind the wrapper of npm start', () => {
  const wrapper = join(root, 'scripts/child.mjs');
  const code = `
    const { runNode } = await import(${JSON.stringify(pathToFileURL(wrapper).href)});
    process.exitCode = await runNode(process.argv.slice(1));`;
  /** Starts the wrapper as the leader of a process group, as a shell does, and signals once training goes on. */
  const startGroup = async (signal: (leader: number) => void): Promise<{ code: number | null; stdout: string }> => {
    const argv = ['--input-type=module', '--eval', code, main, ...longRun, '--outdir', 'runs'];
    const child = spawn(process.execPath, argv, {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    let stdout = '';
    let sent = false;
    child.stdout.on('data', (part: Buffer) => {
      stdout += part.toString();
      if (sent || !stdout.includes('tick 1 ')) return;
      sent = true;
      signal(child.pid!);
    });
    // `close` comes when the trainer, which holds the other end of stdout, has ended as well.
    return new Promise((resolve) => child.on('close', (exitCode) => resolve({ code: exitCode, stdout })));
  };

  test('Ctrl-C in a terminal, which reaches the whole group: a checkpoint and exit code 0', async () => {
    const outcome = await startGroup((leader) => process.kill(-leader, 'SIGINT'));
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toContain('Interrupted at ');
  });

  test('a signal to the wrapper alone is passed on', async () => {
    const outcome = await startGroup((leader) => process.kill(leader, 'SIGTERM'));
    expect(outcome.code).toBe(75);
    expect(outcome.stdout).toContain('Interrupted at ');
  });

  test('whatever ends the group ends the trainer', async () => {
    const outcome = await startGroup((leader) => process.kill(-leader, 'SIGKILL'));
    expect(outcome.code).toBe(null);
    expect(outcome.stdout).not.toContain('Interrupted at ');
  });
});

test('a reader that goes away, such as head, does not end a run', async () => {
  const { code } = await start([...tinyRun, '--outdir', 'runs'], (child) => child.stdout!.destroy());
  expect(code).toBe(0);
  const [run] = readdirSync(folder.join('runs'));
  expect(readFileSync(folder.join('runs', run, 'log.txt'), 'utf8')).toMatch(/\nDone: 4\.0 of 4 kimg/);
});

test.skipIf(!existsSync('/dev/full'))(
  'an output that is full is one line and exit code 1, and the run goes on',
  async () => {
    const child = spawn('/bin/sh', ['-c', 'exec "$0" "$@" > /dev/full', process.execPath, main, ...tinyRun], {
      cwd: folder.path,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr: withoutProgress(stderr) }).toEqual({
      code: 1,
      stderr:
        "stf: can't write to the standard output: no space is left on the device. The command goes on without it.\n",
    });
    const [run] = readdirSync(folder.join('runs'));
    expect(readFileSync(folder.join('runs', run, 'log.txt'), 'utf8')).toMatch(/\nDone: 4\.0 of 4 kimg/);
  },
);

test('wrong usage is exit code 2 and one line', async () => {
  expect(await start(['train', '--batch', '0'])).toEqual({
    code: 2,
    stdout: '',
    stderr: 'stf train: --batch must be an integer of at least 1, got 0.\n',
  });
});

test('both entry points can be imported as a user does, and say nothing', async () => {
  const script = `
    const core = await import('stable-target-field');
    const node = await import('stable-target-field/node');
    const { input, matmul } = core.graph;
    const program = await node.nodeRuntime({ threads: 1 }).compile({
      name: 'product',
      outputs: { product: matmul(input('a', [1, 2]), input('b', [2, 1])) },
    });
    const { product } = await program.run({ a: Float32Array.of(1, 2), b: Float32Array.of(3, 4) });
    console.log(product[0], typeof core.train, typeof core.stableTarget);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { cwd: root });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (text += part.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  expect(text).toBe('11 function function\n');
});

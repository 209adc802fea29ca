import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findCheckpoint, readStatistics } from '../../src/node/run-reader.ts';
import { trainingVectors } from '../../src/training/index.ts';
import type { Checkpoint } from '../../src/training/index.ts';
import { stf, temporaryFolder, tinyRun } from '../cli/support.ts';
import { smallDisk, whyNoDisk } from './small-disk.ts';
import type { SmallDisk } from './small-disk.ts';

/*
 * A disk that fails for a while must not change what is trained, nor leave anything half written; the run says what it could
 * not do and does it later, or ends with exit code 74 where that is asked for. Disks are real file systems where this
 * process may mount them; a limit on the length of files stands in for them elsewhere.
 */
const reason = whyNoDisk();
const runName = '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32';
const folder = temporaryFolder();
let expected: { checkpoint: Checkpoint; kimg: number[] };
let disk: SmallDisk | undefined;

const kimgOf = async (run: string): Promise<number[]> =>
  (await readStatistics(run)).map(({ values }) => values['Progress/kimg'].mean);

/** Trains on a small disk, to which `act` does something at every tick. */
async function trainOn(own: SmallDisk, act: (tick: number) => void, ...more: string[]) {
  const run = join(own.path, 'runs', runName);
  const outcome = await stf([...tinyRun, '--outdir', join(own.path, 'runs'), ...more], (text) => {
    const tick = /^tick (\d+)/.exec(text)?.[1];
    if (tick !== undefined) act(Number(tick));
  });
  return { run, ...outcome };
}

const expectWhole = async (run: string): Promise<void> => {
  const { checkpoint, damaged } = await findCheckpoint(run);
  expect(damaged).toEqual([]);
  expect(checkpoint.progress.step).toBe(expected.checkpoint.progress.step);
  for (const name of trainingVectors) expect(checkpoint.vectors[name], name).toEqual(expected.checkpoint.vectors[name]);
  expect(await kimgOf(run)).toEqual(expected.kimg);
  expect(readdirSync(run).filter((name) => /\.tmp$|^lock/.test(name))).toEqual([]);
};

beforeAll(async () => {
  if (reason !== undefined) console.warn(`skipped: ${reason}`);
});

afterEach(() => {
  disk?.remove();
  disk = undefined;
});

describe.skipIf(reason !== undefined)('on a disk', () => {
  beforeAll(async () => {
    const own = smallDisk();
    const { code, run } = await trainOn(own, () => {});
    expect(code).toBe(0);
    expected = { checkpoint: (await findCheckpoint(run)).checkpoint, kimg: await kimgOf(run) };
    own.remove();
  });

  test('that is full for a while, training goes on and all is written later', async () => {
    disk = smallDisk();
    const own = disk;
    const { code, stdout, run } = await trainOn(own, (tick) => {
      if (tick === 1) own.fill();
      if (tick === 3) own.makeRoom();
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /checkpoint-000001\.safetensors: no space is left on the device\. Training goes on; it is tried again/,
    );
    expect(stdout).toContain('checkpoint-000003.safetensors is written again.');
    expect(
      readFileSync(join(run, 'log.txt'), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('tick')),
    ).toHaveLength(5);
    await expectWhole(run);
  });

  test('that can only be read for a while, likewise', async () => {
    disk = smallDisk();
    const own = disk;
    const { code, stdout, run } = await trainOn(own, (tick) => {
      if (tick === 1) own.setReadOnly(true);
      if (tick === 3) own.setReadOnly(false);
    });
    expect(code).toBe(0);
    expect(stdout).toContain('the file system is read-only. Training goes on; it is tried again at the next tick.');
    await expectWhole(run);
  });

  test('that is full, with --on-save-failure stop: exit code 74 and the last good checkpoint', async () => {
    disk = smallDisk();
    const own = disk;
    const stopped = await trainOn(own, (tick) => tick === 2 && own.fill(), '--on-save-failure', 'stop');
    expect(stopped.code).toBe(74);
    expect(stopped.stderr).toMatch(
      /^stf train: can't write .*: no space is left on the device\. The run ends at its last whole checkpoint\.\n$/,
    );
    const { checkpoint, damaged } = await findCheckpoint(stopped.run);
    expect(damaged).toEqual([]);
    expect(checkpoint.progress.tick).toBe(2);
    // Nor is there anything to begin with while it is full, and then it goes on to the same end.
    const refused = await stf(['train', '--resume', stopped.run, '--threads', '1']);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('no space is left on the device');
    own.makeRoom();
    expect((await stf(['train', '--resume', stopped.run, '--threads', '1'])).code).toBe(0);
    await expectWhole(stopped.run);
  });

  test('that can only be read, nothing is begun', async () => {
    disk = smallDisk();
    const { code, run } = await trainOn(disk, () => {}, '--duration', '0.001');
    expect(code).toBe(0);
    disk.setReadOnly(true);
    for (const argv of [
      ['train', '--resume', run, '--duration', '0.002'],
      [...tinyRun, '--outdir', join(disk.path, 'runs')],
    ])
      expect(await stf(argv)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          /^stf train: can't write in the folder .*: the file system is read-only\.\n$/,
        ) as string,
      });
  });
});

describe.skipIf(process.platform === 'win32')('with a limit on the length of files', () => {
  test('no checkpoint fits: exit code 74, and nothing half written', () => {
    const program = join(import.meta.dirname, '../../dist/src/cli/main.js');
    // bash counts in units of 1024 bytes: 8 KiB hold the options and one tick, and a checkpoint has 30.
    const script = 'ulimit -f 8 && exec "$0" "$@"';
    const argv = [program, ...tinyRun, '--on-save-failure', 'stop', '--outdir', folder.join('runs')];
    const { status, stderr } = spawnSync('bash', ['-c', script, process.execPath, ...argv], { encoding: 'utf8' });
    expect(stderr).toMatch(
      /^stf train: can't write .*: the file would be larger than is allowed\. The run ends at its last/,
    );
    expect(status).toBe(74);
    const names = readdirSync(folder.join('runs', runName)).map((name) => name.replace(/^(events\.).*/, '$1'));
    expect(names.sort()).toEqual(['events.', 'log.txt', 'options.json', 'stats.jsonl']);
  });
});

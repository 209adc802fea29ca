import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findCheckpoint } from '../../src/node/run-reader.ts';
import { temporaryFolder } from '../cli/support.ts';
import { smallDisk, whyNoDisk } from '../faults/small-disk.ts';
import type { SmallDisk } from '../faults/small-disk.ts';
import { onlyRun, requireMpirun, start } from './mpirun.ts';

const folder = temporaryFolder();
let disk: SmallDisk | undefined;

afterEach(() => disk?.remove());

/** It would take many minutes. */
const points = [
  ...['train', '--data', 'eight-gaussians', '--batch', '64', '--reference-batch', '128', '--width', '16'],
  ...['--blocks', '1', '--samples', '16', '--steps', '3', '--tick', '0.32', '--snap', '1', '--duration', '100'],
  ...['--threads', '1', '--on-save-failure', 'stop'],
];

test('rank 0 that can not save ends the job: the others do not wait for it', async (context) => {
  requireMpirun(context);
  const reason = whyNoDisk();
  context.skip(reason !== undefined, reason);
  const own = (disk = smallDisk());
  const { code, stderr, seconds } = await start(2, [...points, '--outdir', join(own.path, 'runs')], {
    cwd: folder.path,
    drive: (_, stdout) => {
      if (!stdout.includes('tick 2 ')) return false;
      own.fill();
      return true;
    },
  });
  expect(code, stderr).toBe(74);
  expect(stderr.match(/stf train: /g)).toHaveLength(1);
  expect(stderr).toMatch(
    /stf train: rank 0 of 2 on \S+: can't write .*: no space is left on the device\. The run ends/,
  );
  // The bound for a rank that dies.
  expect(seconds).toBeLessThan(30);
  const run = onlyRun(join(own.path, 'runs'));
  expect((await findCheckpoint(run)).damaged).toEqual([]);
  expect(readdirSync(run).filter((name) => /\.tmp$|^lock/.test(name))).toEqual([]);
});

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { decodeCheckpoint } from '../../src/training/index.ts';
import { temporaryFolder } from '../cli/support.ts';
import { lossesOf, onlyRun, ranksOf, requireMpirun, start } from './mpirun.ts';

const folder = temporaryFolder();

/** Steps of 64 points, a tick every five of them. */
const points = [
  ...['train', '--data', 'eight-gaussians', '--batch', '64', '--reference-batch', '128'],
  ...[
    '--width',
    '16',
    '--blocks',
    '1',
    '--samples',
    '16',
    '--steps',
    '3',
    '--tick',
    '0.32',
    '--snap',
    'end',
    '--threads',
    '1',
  ],
];
/** 50 steps. */
const fifty = ['--duration', '0.0032'];
/** It would take many minutes. */
const forLong = ['--duration', '100'];

const weightsOf = (run: string): Float32Array => {
  const last = readdirSync(run)
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .at(-1)!;
  return decodeCheckpoint(readFileSync(`${run}/${last}`), last).vectors.weights;
};

describe('under mpirun', () => {
  // Sums in float32 in another order move a gradient by 1e-7 of its size; fifty steps make a few times that of the losses.
  const bound = 1e-5;

  test('2 ranks have the losses and weights of one, and 2 ranks go on with what 4 began', async (context) => {
    requireMpirun(context);
    const train = async (ranks: number, argv: readonly string[], outdir: string): Promise<string> => {
      const { code, stderr } = await start(ranks, [...points, ...argv, '--outdir', outdir], { cwd: folder.path });
      expect(code, stderr).toBe(0);
      return onlyRun(folder.join(outdir));
    };
    // 26 steps, where a tick ends.
    // Processes that share cores leave most of them to each other, not to work: one after the other.
    const one = await train(0, [...fifty, '--rounds', '2'], 'one');
    const two = await train(2, [...fifty, '--rounds', '2'], 'two');
    const began = await train(4, ['--duration', '0.001664', '--rounds', '2'], 'four');
    const { code, stdout, stderr } = await start(2, ['train', '--resume', began, ...fifty, '--threads', '1'], {
      cwd: folder.path,
    });
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('with 1 threads in each of 2 ranks');
    const expected = lossesOf(one);
    expect(expected).toHaveLength(11);
    for (const run of [two, began]) {
      const losses = lossesOf(run);
      expect(losses).toHaveLength(expected.length);
      expect(Math.max(...losses.map((loss, i) => Math.abs(loss / expected[i] - 1)))).toBeLessThan(bound);
      const [ours, theirs] = [weightsOf(run), weightsOf(one)];
      expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])))).toBeLessThan(1e-4);
    }
  });

  test('a rank that is killed ends the job, and is named', async (context) => {
    requireMpirun(context);
    const { code, stderr, seconds } = await start(2, [...points, ...forLong, '--outdir', 'runs'], {
      cwd: folder.path,
      drive: (child, stdout) => {
        if (!stdout.includes('tick 1 ')) return false;
        process.kill(Math.max(...ranksOf(child)), 'SIGKILL');
        return true;
      },
    });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/process rank [01] with PID \d+ on node \S+ exited on signal 9/);
    // The bound; mpirun gives the others two seconds.
    expect(seconds).toBeLessThan(30);
  });

  test('a signal to mpirun is followed by one checkpoint, and by the end of all', async (context) => {
    requireMpirun(context);
    const { code, stdout } = await start(2, [...points, ...forLong, '--outdir', 'runs'], {
      cwd: folder.path,
      drive: (child, text) => text.includes('tick 1 ') && child.kill('SIGUSR1'),
    });
    expect(code).toBe(75);
    expect(stdout.match(/wrote checkpoint/g)).toHaveLength(1);
    expect(stdout).toMatch(/Interrupted at .*--resume/);
    expect(readdirSync(onlyRun(folder.join('runs'))).filter((name) => /lock|tmp/.test(name))).toEqual([]);
  });

  test('Ctrl-C of mpirun, which ends with 1 itself: one checkpoint, one way to go on, and no lock', async (context) => {
    requireMpirun(context);
    // It waits so many seconds, passes SIGTERM on, waits again and kills: docs/cluster.md.
    vi.stubEnv('OMPI_MCA_odls_base_sigkill_timeout', '12');
    try {
      const { code, stdout, stderr } = await start(2, [...points, ...forLong, '--outdir', 'runs'], {
        cwd: folder.path,
        drive: (child, text) => text.includes('tick 1 ') && child.kill('SIGINT'),
      });
      expect(code).toBe(1);
      expect(stdout.match(/wrote checkpoint/g)).toHaveLength(1);
      expect(stdout.match(/Interrupted at .*--resume/g)).toHaveLength(1);
      expect(stderr.match(/stopped by SIGTERM; the state is saved/g)).toHaveLength(1);
      expect(readdirSync(onlyRun(folder.join('runs'))).filter((name) => /lock|tmp/.test(name))).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test('a second job on the same run is refused, by one rank, and all of it ends', async (context) => {
    requireMpirun(context);
    const short = await start(2, [...points, '--duration', '0.00064', '--outdir', 'runs'], { cwd: folder.path });
    expect(short.code, short.stderr).toBe(0);
    const run = onlyRun(folder.join('runs'));
    const resume = ['train', '--resume', run, '--threads', '1', ...forLong];
    let second: ReturnType<typeof start> | undefined;
    const first = await start(2, resume, {
      cwd: folder.path,
      drive: (child, text) => {
        // It trains, and so has the lock.
        if (!/^tick \d/m.test(text)) return false;
        second = start(2, resume, { cwd: folder.path });
        void second.finally(() => child.kill('SIGUSR1'));
        return true;
      },
    });
    const refused = await second!;
    expect(refused.code).toBe(2);
    expect(refused.stderr.match(/stf train: /g)).toHaveLength(1);
    expect(refused.stderr).toMatch(/rank 0 of 2 on \S+: .* is in use by process \d+ on /);
    expect(refused.stdout).not.toContain('tick');
    expect(first.code, first.stderr).toBe(75);
  });

  test('what is wrong in all ranks is said once', async (context) => {
    requireMpirun(context);
    const { code, stderr } = await start(2, [...points, '--batch', '65', '--outdir', 'runs'], { cwd: folder.path });
    expect(code).toBe(2);
    expect(stderr.match(/stf train: /g)).toHaveLength(1);
    expect(stderr).toMatch(/stf train: rank 0 of 2 on \S+: --batch \(65\) must be divisible by the number of ranks, 2/);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { StfError, UsageError } from '../src/errors.ts';
import { nodeRuntime } from '../src/node/index.ts';
import { readArguments } from './arguments.ts';
import { waitingFrom } from './compare.ts';
import { machine, median, rounded } from './measure.ts';
import { describeNetwork, networkDefaults } from './networks.ts';
import type { RankTimes, RankWish } from './scaling-rank.ts';

/**
 * The training step in several processes of one thread each, joined by MPI, against one process with as many threads, on
 * the same batch: in turn, `--turns` times. What is left of the speed is the efficiency.
 */
export async function scalingBench(argv: readonly string[]) {
  const options = readArguments(argv, {
    ...networkDefaults(argv),
    ...{ reference: 0, ranks: 2, steps: 4, turns: 2, waiting: 'passive', mpirun: 'mpirun' },
  });
  const { ranks, batch, reference, steps, turns } = options;
  if (batch % ranks !== 0) throw new UsageError(`--batch (${batch}) must be divisible by --ranks, got ${ranks}.`);
  const waiting = waitingFrom(options);
  const shared = { ...describeNetwork(options), batch, reference, waiting, warmUp: 2, steps };
  const runs: { one: RankTimes[]; several: RankTimes[] } = { one: [], several: [] };
  for (let turn = 0; turn < turns; turn++) {
    runs.one.push(measure([], { ...shared, threads: ranks }));
    const launcher = [options.mpirun, '--oversubscribe', '--bind-to', 'none', '-np', String(ranks)];
    runs.several.push(measure(launcher, { ...shared, threads: 1 }));
  }
  const of = (from: readonly RankTimes[], key: 'steps' | 'allReduce' | 'allReduceAlone'): number =>
    median(from.flatMap((each) => [...each[key]]));
  const [oneMs, severalMs] = [of(runs.one, 'steps'), of(runs.several, 'steps')];
  const [{ parameters }] = runs.one;
  const side = (ms: number) => ({ stepMs: rounded(ms, 4), imagesPerSecond: rounded((batch / ms) * 1000, 4) });
  return Promise.resolve({
    bench: 'scaling',
    network: describeNetwork(options),
    objective: reference > 0 ? `stf ${reference}` : 'dsm',
    batch,
    parameters,
    oneProcess: { threads: ranks, ...side(oneMs) },
    ranks: {
      ranks,
      threads: 1,
      ...side(severalMs),
      allReduceMs: rounded(of(runs.several, 'allReduce')),
      allReduceShare: rounded(of(runs.several, 'allReduce') / severalMs),
      allReduceAloneMs: rounded(of(runs.several, 'allReduceAlone')),
    },
    efficiency: rounded(oneMs / severalMs),
    waiting,
    machine: machine(nodeRuntime({ threads: ranks })),
  });
}

/** Runs the ranks to their end. @throws StfError with what they said when they fail */
function measure(launcher: readonly string[], wish: RankWish): RankTimes {
  const program = [process.execPath, join(import.meta.dirname, 'scaling-rank.js'), JSON.stringify(wish)];
  const [command, ...args] = [...launcher, ...program];
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' },
  });
  if (error)
    throw new UsageError(`${command} can't be started (${error.message}). Install it, or name it with --mpirun.`);
  if (status !== 0) throw new StfError(`${command} ended with code ${status}: ${stderr.trim()}`);
  return JSON.parse(stdout) as RankTimes;
}

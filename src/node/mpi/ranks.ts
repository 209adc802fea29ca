import { hostname } from 'node:os';
import { StfError } from '../../errors.ts';
import { alone, serial } from '../../runtime/index.ts';
import type { Communicator } from '../../runtime/index.ts';
import { detectLaunch } from './launch.ts';
import { openLibrary } from './library.ts';
import type { MpiLibrary } from './library.ts';

/** MPI, once this process has joined: it can be started once in a process. */
let joined: { readonly mpi: MpiLibrary; readonly ranks: Communicator } | undefined;

/**
 * Joins the processes that were started together with this one, by `mpirun` or `srun`. A process that was started alone
 * stays so and loads nothing.
 *
 * @throws UsageError when MPI is not installed, or not the launcher's
 */
export async function joinRanks(env: NodeJS.ProcessEnv = process.env): Promise<Communicator> {
  if (joined) return joined.ranks;
  const launch = detectLaunch(env);
  if (!launch) return alone;
  const library = await openLibrary(launch, env);
  joined = { mpi: library, ranks: communicatorOf(library) };
  return joined.ranks;
}

/** Leaves the others, after the last call to them. Nothing when this process has not joined any. */
export async function leaveRanks(): Promise<void> {
  const left = joined;
  joined = undefined;
  await left?.mpi.finalize();
}

/** Ends all processes of the job, because this one can't go on. Nothing when this process has not joined any. */
export function abortRanks(code: number): void {
  joined?.mpi.abort(code);
}

/** The most values that MPI takes at a time: counts are int. */
const mostValues = 2 ** 31 - 1;

function communicatorOf(library: MpiLibrary): Communicator {
  const { rank, size, world, float, byte, sum, inPlace } = library;
  // One call at a time, from whatever thread.
  const queue = serial();
  const count = (values: Float32Array | Uint8Array): number => {
    if (values.length > mostValues)
      throw new StfError(`MPI takes ${mostValues} values at a time, got ${values.length}.`);
    return values.length;
  };
  return {
    rank,
    size,
    host: hostname(),
    allReduce: (values) => queue(() => library.allreduce(inPlace, values, count(values), float, sum, world)),
    broadcast: (bytes, from) => queue(() => library.bcast(bytes, count(bytes), byte, from, world)),
    gather: (values) => {
      const all = new Float32Array(values.length * size);
      const sent = values.slice();
      return queue(async () => {
        await library.allgather(sent, count(sent), float, all, sent.length, float, world);
        return all;
      });
    },
    barrier: () => queue(() => library.barrier(world)),
  };
}

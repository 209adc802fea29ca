import type { LibraryHandle } from 'koffi';
import { StfError, UsageError } from '../../errors.ts';
import type { Launch } from './launch.ts';

/** A handle of MPI: an address in Open MPI, a number in MPICH. */
type Handle = bigint | number;

/** A function of the library that runs on a thread beside this one, so that Node hears of signals meanwhile. */
export type Call = (...args: unknown[]) => Promise<void>;

/** What is used of MPI. */
export interface MpiLibrary {
  readonly rank: number;
  readonly size: number;
  /** (send, receive, count, type, operation, communicator) */
  readonly allreduce: Call;
  /** (values, count, type, from, communicator) */
  readonly bcast: Call;
  /** (send, count, type, receive, count, type, communicator) */
  readonly allgather: Call;
  /** (communicator) */
  readonly barrier: Call;
  readonly finalize: Call;
  /** Ends all processes of the job. Does not return. */
  abort(code: number): void;
  readonly world: Handle;
  readonly float: Handle;
  readonly byte: Handle;
  readonly sum: Handle;
  /** In place of what is sent: what is received holds it. */
  readonly inPlace: bigint;
}

/** File names of a library on this platform, the one to be tried first in front. */
function fileNames(family: Launch['family'], platform: NodeJS.Platform): string[] {
  const open = platform === 'darwin' ? ['libmpi.40.dylib'] : ['libmpi.so.40'];
  const mpich = platform === 'darwin' ? ['libmpi.12.dylib'] : ['libmpich.so.12', 'libmpi.so.12'];
  const plain = platform === 'darwin' ? ['libmpi.dylib'] : ['libmpi.so'];
  const names = family === 'Open MPI' ? [...open, ...plain, ...mpich] : [...mpich, ...plain, ...open];
  // Where Homebrew puts them, which the system's loader does not look at.
  const folders = platform === 'darwin' ? ['', '/opt/homebrew/lib/', '/usr/local/lib/'] : [''];
  return names.flatMap((name) => folders.map((folder) => folder + name));
}

/**
 * Finds the library of MPI on this machine and starts it. STF_MPI_LIBRARY names a file that is taken instead.
 *
 * @throws UsageError when there is none, saying what to install, or it is not the one of the launcher
 */
export async function openLibrary(launch: Launch, env: NodeJS.ProcessEnv): Promise<MpiLibrary> {
  const koffi = await import('koffi');
  koffi.config({ async_stack_size: stackBytes });
  const wanted = env.STF_MPI_LIBRARY ? [env.STF_MPI_LIBRARY] : fileNames(launch.family, process.platform);
  const reasons: string[] = [];
  for (const name of wanted) {
    let handle: LibraryHandle;
    try {
      // Open MPI loads parts of its own later, which look for its symbols among those that everybody sees.
      handle = koffi.load(name, { global: true });
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
      continue;
    }
    const library = start(handle);
    if (library.size !== launch.size)
      throw new UsageError(
        `${launch.launcher} started ${launch.size} processes, and ${name} knows of ${library.size}: they belong to ` +
          'different installations of MPI. Start with the mpirun of that library (with srun: --mpi=pmix or --mpi=pmi2), or ' +
          'name the library that fits with STF_MPI_LIBRARY. Processes that are to work apart need STF_MPI=off.',
      );
    return library;
  }
  const reason = reasons.find((each) => !each.includes('No such file')) ?? 'there is no such file';
  throw new UsageError(
    `${launch.launcher} started ${launch.size} processes, and the library of MPI can't be loaded (${wanted.join(', ')}: ${reason}). ` +
      'Install it on every machine: apt-get install openmpi-bin (or mpich), dnf install openmpi, brew install open-mpi; ' +
      'or name its file with STF_MPI_LIBRARY. Without mpirun, stf works alone and needs none.',
  );
}

/** A thread's usual stack. MPICH overflows the 128 KiB that a call beside Node's own thread is given by default. */
const stackBytes = 8 * 2 ** 20;

/** MPI_THREAD_SERIALIZED: calls come from several threads, one at a time. */
const serialized = 2;

/** Loads the functions, and tells MPI that this process is there. */
function start(library: LibraryHandle): MpiLibrary {
  const handles = handlesOf(library);
  // Handles and addresses are words of the machine's size in Open MPI, and int in MPICH.
  const h = handles.type;
  const one = (name: string, types: readonly string[], ...args: unknown[]): number => {
    const value = [0];
    const code = library.func(name, 'int', [...types, '_Out_ int *'])(...args, value) as number;
    if (code !== 0) throw new StfError(`${name} failed with code ${code}.`);
    return value[0];
  };
  const provided = one('MPI_Init_thread', ['intptr_t', 'intptr_t', 'int'], 0, 0, serialized);
  const call = (name: string, types: readonly string[]): Call => {
    const native = library.func(name, 'int', [...types]);
    const check = (code: number): void => {
      if (code !== 0) throw new StfError(`${name} failed with code ${code}.`);
    };
    if (provided < serialized) return (...args) => Promise.resolve(check(native(...args) as number));
    return (...args) =>
      new Promise<number>((resolve, reject) => {
        native.async(...args, (error: Error | null, code: number) => (error ? reject(error) : resolve(code)));
      }).then(check);
  };
  const abort = library.func('MPI_Abort', 'int', [h, 'int']);
  return {
    ...handles,
    rank: one('MPI_Comm_rank', [h], handles.world),
    size: one('MPI_Comm_size', [h], handles.world),
    allreduce: call('MPI_Allreduce', ['intptr_t', 'void *', 'int', h, h, h]),
    bcast: call('MPI_Bcast', ['void *', 'int', h, 'int', h]),
    allgather: call('MPI_Allgather', ['void *', 'int', h, 'void *', 'int', h, h]),
    barrier: call('MPI_Barrier', [h]),
    finalize: call('MPI_Finalize', []),
    abort: (code) => void abort(handles.world, code),
  };
}

/** Handles as the library's header has them. */
function handlesOf(library: LibraryHandle) {
  const address = (name: string): bigint | undefined => {
    try {
      return library.symbol(name) as bigint;
    } catch {
      return undefined;
    }
  };
  const world = address('ompi_mpi_comm_world');
  if (world === undefined)
    return {
      type: 'int',
      world: 0x44000000,
      float: 0x4c00040a,
      byte: 0x4c00010d,
      sum: 0x58000003,
      inPlace: -1n,
    };
  const [float, byte, sum] = ['ompi_mpi_float', 'ompi_mpi_byte', 'ompi_mpi_op_sum'].map(address) as bigint[];
  return { type: 'intptr_t', world, float, byte, sum, inPlace: 1n };
}

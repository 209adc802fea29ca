/** What a launcher of parallel jobs says about the processes that it started. */
export interface Launch {
  /** As in a message: `mpirun of Open MPI`. */
  readonly launcher: string;
  readonly rank: number;
  readonly size: number;
  /** Whose library the processes most likely speak with. */
  readonly family: 'Open MPI' | 'MPICH';
}

/**
 * Reads in the environment whether this process is one of several that were started together. Nothing is loaded for it.
 *
 * `mpirun` of Open MPI sets OMPI_COMM_WORLD_*, that of MPICH and Intel MPI PMI_*. `srun` sets SLURM_STEP_* for what it
 * starts, and not in a batch script around it. STF_MPI=off says that the processes have nothing to do with each other.
 */
export function detectLaunch(env: Readonly<Record<string, string | undefined>>): Launch | undefined {
  if (env.STF_MPI === 'off') return undefined;
  const read = (name: string): number => (env[name] ? Number(env[name]) : NaN);
  const of = (launcher: string, family: Launch['family'], size: number, rank: number): Launch | undefined =>
    Number.isInteger(size) && size > 1 && Number.isInteger(rank) ? { launcher, rank, size, family } : undefined;
  return (
    of('mpirun of Open MPI', 'Open MPI', read('OMPI_COMM_WORLD_SIZE'), read('OMPI_COMM_WORLD_RANK')) ??
    of('mpirun of MPICH', 'MPICH', read('PMI_SIZE'), read('PMI_RANK')) ??
    of('srun', env.PMIX_RANK === undefined ? 'MPICH' : 'Open MPI', read('SLURM_STEP_NUM_TASKS'), read('SLURM_PROCID'))
  );
}

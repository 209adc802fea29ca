import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { detectLaunch, joinRanks } from '../../../src/node/mpi/index.ts';
import { alone } from '../../../src/runtime/index.ts';

// Variables as each launcher sets them: mpirun(1) of Open MPI 4.1, Hydra's of MPICH 4.0, sbatch(1) and srun(1) of Slurm.
const openMpi = {
  OMPI_COMM_WORLD_SIZE: '4',
  OMPI_COMM_WORLD_RANK: '3',
  OMPI_COMM_WORLD_LOCAL_RANK: '1',
  PMIX_RANK: '3',
};
const hydra = { PMI_SIZE: '2', PMI_RANK: '1', MPI_LOCALNRANKS: '2' };
const batchScript = { SLURM_NTASKS: '8', SLURM_PROCID: '0', SLURM_JOB_ID: '17' };
const srun = { ...batchScript, SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '8', SLURM_PROCID: '5' };

describe('whether several processes were started together', () => {
  test.each([
    ['mpirun of Open MPI', openMpi, { rank: 3, size: 4, family: 'Open MPI' }],
    ['mpirun of MPICH', hydra, { rank: 1, size: 2, family: 'MPICH' }],
    ['srun --mpi=pmix', { ...srun, PMIX_RANK: '5' }, { rank: 5, size: 8, family: 'Open MPI' }],
    ['srun --mpi=pmi2', srun, { rank: 5, size: 8, family: 'MPICH' }],
  ])('%s', (_, env, launch) => {
    expect(detectLaunch(env)).toMatchObject(launch);
  });

  test.each([
    ['a shell', {}],
    ['mpirun -np 1', { ...openMpi, OMPI_COMM_WORLD_SIZE: '1', OMPI_COMM_WORLD_RANK: '0', PMIX_RANK: '0' }],
    ['a batch script of Slurm, without srun', batchScript],
    ['processes that are to work apart', { ...openMpi, STF_MPI: 'off' }],
    ['variables that are empty', { OMPI_COMM_WORLD_SIZE: '', OMPI_COMM_WORLD_RANK: '' }],
  ])('not by %s', async (_, env) => {
    expect(detectLaunch(env)).toBeUndefined();
    // Nothing is loaded: there may be no MPI at all.
    expect(await joinRanks({ ...env, STF_MPI_LIBRARY: '/nowhere/libmpi.so' })).toBe(alone);
  });
});

test('without the library, what to install is said', async () => {
  const joining = joinRanks({ ...openMpi, STF_MPI_LIBRARY: '/nowhere/libmpi.so' });
  await expect(joining).rejects.toThrow(UsageError);
  await expect(joining).rejects.toThrow(
    /mpirun of Open MPI started 4 processes, and the library of MPI can't be loaded \(\/nowhere\/libmpi.so: .*apt-get install openmpi-bin/,
  );
});

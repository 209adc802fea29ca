#!/bin/bash
#SBATCH --job-name=stf
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Five minutes before the time is over, srun passes SIGUSR1 to every rank: the run is saved and ends with code 75.
#SBATCH --signal=USR1@300
#
# sbatch slurm.sh --preset cifar10-edm-ddpmpp: begins a run, and goes on with it whenever the job is started again.
set -u
outdir=runs/$SLURM_JOB_ID

# The cores of a task are those of its rank. `srun --mpi=list` tells what your Slurm was built with: pmix, or pmi2 with MPICH.
start=(srun --mpi=pmix --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 npx stf train)

begun=("$outdir"/[0-9]*/checkpoint-*)
if [ -e "${begun[0]}" ]; then
  # No other job has this folder: a lock in it is that of a rank 0 that is gone, perhaps on another machine.
  "${start[@]}" --resume "$(dirname "${begun[0]}")" --break-lock
else
  "${start[@]}" --outdir "$outdir" "$@"
fi
code=$?
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code

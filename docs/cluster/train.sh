#!/bin/bash
# train.sh OUTDIR MPIRUN-OPTIONS -- TRAIN-OPTIONS: trains under mpirun, beginning the run of OUTDIR or going on with it.
# SIGTERM to this script stops the run well: mpirun passes SIGUSR1 on, rank 0 saves, and the code is 75.
set -u
outdir=$1
shift
launcher=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  launcher+=("$1")
  shift
done
shift

# Seconds between what mpirun does about a rank that died or a signal of its own, twice: less than 30 together.
export OMPI_MCA_odls_base_sigkill_timeout=12

begun=("$outdir"/[0-9]*/checkpoint-*)
if [ -e "${begun[0]}" ]; then
  # No other job may have this folder: a lock in it is that of a rank 0 that is gone, perhaps on another machine.
  set -- --resume "$(dirname "${begun[0]}")" --break-lock
else
  set -- --outdir "$outdir" "$@"
fi
mpirun "${launcher[@]}" ${STF:-npx stf} train "$@" &
child=$!
trap 'kill -USR1 $child' TERM INT USR1
wait $child
code=$?
# A signal ends the first wait: the second one is for mpirun itself.
while kill -0 $child 2>/dev/null; do
  wait $child
  code=$?
done
exit $code

#!/bin/bash
# Trains with one worker on each of several nodes:
#
#     sbatch --nodes=4 examples/cluster/slurm.sh --config=cifar10 --run_dir=/shared/runs/cifar10
#
# The run's directory must be on a file system that all nodes share, as the one in which you submit. When a worker is
# lost, or the job's time is over, the job goes back into the queue; it then goes on from the newest checkpoint, on as
# many nodes as it gets. After an error that another start would meet again it does not.
#SBATCH --job-name=tfp_realnvp
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120

error=$PWD/slurm-$SLURM_JOB_ID.error # A worker that met an error writes to it: srun knows the highest code alone.
rm -f "$error"
# shellcheck disable=SC2016 # The task expands it.
task='
  python -m examples.train --strategy=multi_worker "${@:2}"
  code=$?
  case $code in
    0 | 75 | 130 | 137 | 143) ;;
    *) echo "task $SLURM_PROCID ended with $code" >> "$1" ;;
  esac
  exit $code'
# A worker that hangs is killed a minute after the others have ended.
srun --kill-on-bad-exit=0 --wait=60 bash -c "$task" task "$error" "$@"
code=$?
if [ -e "$error" ]; then
  cat "$error" >&2
  exit 1
fi
if [ "$code" != 0 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "${MOST_RESTARTS:-100}" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

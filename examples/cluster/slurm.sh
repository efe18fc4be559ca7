#!/bin/bash
# Trains with one worker on each of several nodes:
#
#     sbatch --nodes=4 examples/cluster/slurm.sh --config=cifar10 --run_dir=/shared/runs/cifar10
#
# The run's directory must be on a file system that all nodes share. When a worker is lost, the others end with 75, and
# the job goes back into the queue; it then goes on from the newest checkpoint, on as many nodes as it gets.
#SBATCH --job-name=tfp_realnvp
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120

srun --kill-on-bad-exit=0 python -m examples.train --strategy=multi_worker "$@"
code=$?
if [ "$code" = 75 ] || [ "$code" = 137 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

#!/bin/bash
# A campaign as a Slurm job on one GPU node; preempted, requeued or out of time, it goes on where it stopped.
#
#   PLAN=h100-first OUT=/shared/campaigns/h100-first sbatch slurm.sh
#
# OUT must be on a file system that all nodes share and that keeps locks (NFS 4, Lustre with -o flock, GPFS).
# Your cluster may want --partition and --account too.
#SBATCH --job-name=trilemma-campaign
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=96G
#SBATCH --gres=gpu:1
#SBATCH --time=01:00:00
# Requeue when preempted or when the node fails; append to the same log then.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=trilemma-campaign-%j.log
# TERM to this script two minutes before the time is up, so that the server is stopped and the job requeued.
#SBATCH --signal=B:TERM@120
set -euo pipefail

PLAN=${PLAN:-h100-first}
OUT=${OUT:-$SLURM_SUBMIT_DIR/campaigns/$PLAN}

# Here: module load, conda activate or source .venv/bin/activate, so that `trilemma` and `vllm` are found.

stop() {
    kill -TERM "$!" 2>/dev/null || true
    wait "$!" || true
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap stop TERM  # before there is anything to stop

trilemma campaign "$PLAN" --out "$OUT" &

# A run that fails is recorded and does not stop the campaign: exit code 1 then, and no requeue.
wait "$!"

#!/usr/bin/env bash
#SBATCH --job-name=cogvx
#SBATCH --array=1-4
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append
#SBATCH --output=cogvx-%A-%a.log
# A batch shared out over a Slurm job array: task I of N makes items I, I+N, I+2N... into ./videos.
#   sbatch [--gpus-per-task=1] slurm_array.sh BATCH.jsonl --model DIR [--device cuda] [FLAG...]
# Started again, requeued by Slurm or with the array submitted anew, a task goes on where it was.
# Any --array=1-N will do, but whole and from 1: the tasks share by number.
set -euo pipefail

gen=${COGVX_GEN:-$(command -v cogvx-gen || echo build/app/cogvx-gen)}
: "${1:?usage: sbatch slurm_array.sh BATCH.jsonl --model DIR [FLAG...]}" "${SLURM_ARRAY_TASK_ID:?is set by sbatch --array}"
mkdir -p videos

# exec: Slurm's signal reaches cogvx-gen itself, which then saves the step that it has finished. --launcher none: the tasks of
# an array are runs of their own, not the processes of one.
exec "$gen" --batch "$1" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --resume-batch --checkpoint-every 5 \
  --launcher none -o 'videos/{index}-{slug}.mp4' "${@:2}"

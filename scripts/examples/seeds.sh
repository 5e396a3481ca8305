#!/usr/bin/env bash
# One video for each seed from FIRST to LAST; the model is loaded once. The rest goes to cogvx-gen as it is.
#   seeds.sh FIRST LAST --model DIR --prompt TEXT [FLAG...]
# Given again after a stop it makes what is missing. Two shells share the seeds with --shard 1/2 and --shard 2/2.
set -euo pipefail

gen=${COGVX_GEN:-$(command -v cogvx-gen || echo build/app/cogvx-gen)}
number='^(0|[1-9][0-9]*)$'
[[ ${1:-} =~ $number && ${2:-} =~ $number ]] || { echo "usage: seeds.sh FIRST LAST --model DIR --prompt TEXT [FLAG...]" >&2; exit 2; }

# One JSON object a line; its keys are names of flags.
for ((seed = $1; seed <= $2; seed++)); do
  printf '{"seed": %d}\n' "$seed"
done | "$gen" --batch - --resume-batch -o 'seed-{seed}.mp4' "${@:3}"

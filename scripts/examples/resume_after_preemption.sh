#!/usr/bin/env bash
# One video on a machine that may be taken away. What ends cogvx-gen by a signal, SIGKILL too, costs the steps since the last
# checkpoint; the script goes on from there. A SIGTERM to the script saves the last step and ends it with 143: give the same
# command again, here or on another machine that sees the files.
#   resume_after_preemption.sh OUTPUT.mp4 --model DIR --prompt TEXT [FLAG...]
set -euo pipefail

gen=${COGVX_GEN:-$(command -v cogvx-gen || echo build/app/cogvx-gen)}
output=${1:?usage: resume_after_preemption.sh OUTPUT.mp4 --model DIR --prompt TEXT [FLAG...]}
state=${output%.*}.state.safetensors
latents=${output%.*}.latents.safetensors

child="" signals=0
trap 'signals=$((signals + 1)); [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM
# The terminal sends it to cogvx-gen as well.
trap 'signals=$((signals + 1))' INT

for attempt in {1..20}; do
  [ ! -e "$output" ] || { echo "$output is there"; exit 0; }
  more=(--checkpoint-every 5)
  [ ! -e "$state" ] || more+=(--resume "$state")
  # All steps are done there; only decoding is left.
  [ ! -e "$latents" ] || more=(--decode-latents "$latents")
  "$gen" "${@:2}" -o "$output" "${more[@]}" &
  child=$!
  # A signal to the script ends its wait before cogvx-gen has saved its step: wait again.
  while true; do
    seen=$signals code=0
    wait "$child" || code=$?
    [ "$signals" != "$seen" ] || break
  done
  [ "$signals" = 0 ] || exit "$code"
  case $code in
    129|130|137|143) echo "ended by signal $((code - 128)) at attempt $attempt; going on" >&2 ;;
    *) exit "$code" ;;
  esac
done
echo "ended by a signal $attempt times; giving up" >&2
exit "$code"

#!/usr/bin/env bash
# Two processes with one thread each against one process with two threads: times the denoising steps of two layers of
# 2B's geometry, taking turns, and prints the ratio (above 1: two processes are faster). Wants two quiet cores.
#   scripts/bench_ranks.sh [--repeats N] [--frames F] [--steps K] [--dtype T] [--sp-mode M] [--program FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

repeats=5 frames=9 steps=4 dtype=bf16 mode=ulysses program=build/app/cogvx-gen
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "$1 wants a value"
  case "$1" in
    --repeats) repeats=$2 ;; --frames) frames=$2 ;; --steps) steps=$2 ;;
    --dtype) dtype=$2 ;; --sp-mode) mode=$2 ;; --program) program=$2 ;;
    *) die "unknown argument '$1'; it takes --repeats, --frames, --steps, --dtype, --sp-mode and --program" ;;
  esac
  shift 2
done
[ -x "$program" ] || die "no program '$program'; build it (scripts/demo.sh does), or name it with --program"
bench_checkpoint
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Seconds from the end of the first step, in which the processes warm up, to the end of the last.
seconds_of() {  # flag of cogvx-gen...
  local line begin="" end="" pid
  mkfifo "$folder/progress"
  "$program" --model out/bench-2b --prompt x -g 1 --frames "$frames" --steps $((steps + 2)) --dtype "$dtype" \
    --allow-untrained-size --overwrite --progress json -o "$folder/v.mp4" "$@" >"$folder/out" 2>"$folder/progress" &
  pid=$!
  while IFS= read -r line; do
    case "$line" in
      *'"done":1,"part":0.0,"stage":"denoise"'*) begin=${EPOCHREALTIME/./} ;;
      *"\"done\":$((steps + 1)),\"part\":0.0,\"stage\":\"denoise\""*) end=${EPOCHREALTIME/./}; break ;;
    esac
  done <"$folder/progress"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  rm "$folder/progress"
  [ -n "$end" ] || die "a run with '$*' ended before its steps were done"
  awk -v us=$((end - begin)) 'BEGIN { printf "%.3f\n", us / 1e6 }'
}

for ((i = 0; i < repeats; ++i)); do
  seconds_of --threads 2 >>"$folder/one"
  seconds_of --sp 2 --sp-mode "$mode" --threads 1 >>"$folder/two"
  echo "one process $(tail -n 1 "$folder/one") s, two processes $(tail -n 1 "$folder/two") s" \
    "(load $(cut -d' ' -f1 /proc/loadavg))"
done
least() { sort -n "$folder/$1" | head -n 1; }
median() { sort -n "$folder/$1" | sed -n "$(((repeats + 1) / 2))p"; }
awk -v a="$(least one)" -v b="$(least two)" -v c="$(median one)" -v d="$(median two)" -v steps="$steps" 'BEGIN {
  printf "%d steps: one process %.3f s, two processes %.3f s (least); ratio %.3f of the least, %.3f of the medians\n",
    steps, a, b, a / b, c / d }'

#!/usr/bin/env bash
# Several processes with one thread each against one process with two threads, taking turns; prints the ratio (above 1:
# several processes are faster). Wants two quiet cores.
#   scripts/bench_ranks.sh [--stage denoise] [--repeats N] [--frames F] [--steps K] [--dtype T] [--sp-mode M] [--program FILE]
#   scripts/bench_ranks.sh --stage decode [--repeats N] [--frames F] [--size HxW] [--dtype T] [--program FILE]
# denoise: the steps of two layers of 2B's geometry on two processes. decode: a VAE of 2B's widths on four processes,
# random latents of a video that has eight tiles of up to 144x160.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

stage=denoise repeats="" frames="" size=240x512 steps=4 dtype=bf16 mode=ulysses program=build/app/cogvx-gen
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "$1 wants a value"
  case "$1" in
    --stage) stage=$2 ;; --repeats) repeats=$2 ;; --frames) frames=$2 ;; --size) size=$2 ;; --steps) steps=$2 ;;
    --dtype) dtype=$2 ;; --sp-mode) mode=$2 ;; --program) program=$2 ;;
    *) die "unknown argument '$1'; it takes --stage, --repeats, --frames, --size, --steps, --dtype, --sp-mode and --program" ;;
  esac
  shift 2
done
[ -x "$program" ] || die "no program '$program'; build it (scripts/demo.sh does), or name it with --program"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Seconds from the end of the first step, in which the processes warm up, to the end of the last.
seconds_of_denoise() {  # flag of cogvx-gen...
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

decode() {  # flag of cogvx-gen...
  "$program" --model out/bench-2b-vae --dtype "$dtype" --vae-tile 144x160 --allow-untrained-size --overwrite \
    --progress none --quiet --json -o "$folder/v.mp4" "$@"
}

# Seconds of the first process's decode stage, which ends when it has every tile.
seconds_of_decode() {  # flag of cogvx-gen...
  decode --decode-latents "$folder/latents.safetensors" "$@" >"$folder/report"
  python3 -c 'import json, sys; print("%.3f" % json.load(sys.stdin)["seconds"][0]["decode"])' <"$folder/report"
  hash_in "$(cat "$folder/report")" sha256_frames >>"$folder/hashes"
}

case "$stage" in
  denoise)
    repeats=${repeats:-5} frames=${frames:-9} what="$steps steps" processes=2 several=(--sp 2 --sp-mode "$mode")
    bench_checkpoint ;;
  decode)
    repeats=${repeats:-3} frames=${frames:-5} what="decoding" processes=4 several=(--sp 4)
    [ -e out/bench-2b-vae/model_index.json ] ||
      python3 scripts/make_random_checkpoint.py --geometry 2b --layers 1 --heads 2 \
        --tokenizer configs/demo/tokenizer/spiece.model out/bench-2b-vae
    decode --prompt x -g 1 --steps 1 --frames "$frames" --height "${size%x*}" --width "${size#*x}" --threads 2 \
      --save-latents "$folder/latents.safetensors" >"$folder/report" ;;
  *) die "--stage is '$stage', it takes denoise or decode" ;;
esac

for ((i = 0; i < repeats; ++i)); do
  "seconds_of_$stage" --threads 2 >>"$folder/one"
  "seconds_of_$stage" "${several[@]}" --threads 1 >>"$folder/several"
  echo "one process $(tail -n 1 "$folder/one") s, $processes processes $(tail -n 1 "$folder/several") s" \
    "(load $(cut -d' ' -f1 /proc/loadavg))"
done
[ ! -e "$folder/hashes" ] || [ "$(sort -u "$folder/hashes" | wc -l)" = 1 ] || die "the runs have different frames"
least() { sort -n "$folder/$1" | head -n 1; }
median() { sort -n "$folder/$1" | sed -n "$(((repeats + 1) / 2))p"; }
awk -v a="$(least one)" -v b="$(least several)" -v c="$(median one)" -v d="$(median several)" -v what="$what" \
  -v processes="$processes" 'BEGIN {
  printf "%s: one process %.3f s, %d processes %.3f s (least); ratio %.3f of the least, %.3f of the medians\n",
    what, a, processes, b, a / b, c / d }'

#!/usr/bin/env bash
# Shows whether your checkpoint gives the same bytes on one process and on several: makes a few steps of one video on each
# mesh cp x sp and compares latents, frames and the file. One line says the verdict.
#   scripts/parity.sh --model DIR [--gpus N] [--steps S] [--program FILE] [-- FLAG OF COGVX-GEN...]
#   --gpus N   what fits on N, one process each: 1x1, 2x1, 2x2, and N whole as 1xN and as two halves. On a machine without
#              GPUs it counts processes (--processes N is the same). Without it: 1x1, 2x1, 2x2 and 1x3.
# Exit 0: all the same. 1: not. 2: usage, or a run failed.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
source "$root/scripts/common.sh"

model="" processes="" steps=2 program="$root/build/app/cogvx-gen" flags=()
while [ $# -gt 0 ]; do
  case "$1" in
    --model=*|--gpus=*|--processes=*|--steps=*|--program=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
      continue ;;
    --model|--gpus|--processes|--steps|--program)
      [ $# -ge 2 ] || die "$1 wants a value"
      case "$1" in
        --model) model=$2 ;;
        --steps) steps=$2 ;;
        --program) program=$2 ;;
        *)
          [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || die "$1 is '$2', wanted a whole number, 1 or more"
          processes=$2 ;;
      esac
      shift ;;
    --) shift; flags=("$@"); break ;;
    *) die "unknown argument '$1'; it takes --model, --gpus, --processes, --steps, --program and -- FLAGS OF COGVX-GEN" ;;
  esac
  shift
done
[ -n "$model" ] || die "--model is missing: a checkpoint directory, for example configs/demo"
[ -x "$program" ] || die "no program '$program'; build it (scripts/demo.sh does), or name it with --program"

# What fits on that many; the same mesh once. One alone is compared with itself, made again.
meshes_for() {  # processes
  local n=$1
  echo "1 1"
  if [ "$n" = 1 ]; then
    echo "1 1"
    return
  fi
  {
    echo "2 1"
    [ "$n" -lt 4 ] || echo "2 2"
    echo "1 $n"
    echo "2 $((n / 2))"
  } | awk '!seen[$0]++'
}

meshes=("1 1" "2 1" "2 2" "1 3")
[ -z "$processes" ] || mapfile -t meshes < <(meshes_for "$processes")

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

reference="" tried="" different=""
for mesh in "${meshes[@]}"; do
  read -r cp sp <<<"$mesh"
  started=$SECONDS
  report=$("$program" --model "$model" --prompt "a red circle" --steps "$steps" --cp "$cp" --sp "$sp" \
    --json --quiet --overwrite -o "$folder/cp$cp-sp$sp.mp4" "${flags[@]}" 2>"$folder/log") ||
    { tail -n 3 "$folder/log" >&2; die "the run on cp $cp x sp $sp failed; its last lines are above"; }
  latents=$(hash_in "$report" sha256_latents)
  frames=$(hash_in "$report" sha256_frames)
  hashes="latents $latents, frames $frames, file $(sha256sum "$folder/cp$cp-sp$sp.mp4" | cut -d' ' -f1)"
  [ -n "$reference" ] || reference=$hashes
  tried+="${tried:+, }${cp}x$sp"
  verdict=same
  [ "$hashes" = "$reference" ] || { verdict=DIFFERENT; different+="${different:+, }${cp}x$sp"; }
  printf 'cp %d x sp %d: %s (%d s)\n' "$cp" "$sp" "$verdict" $((SECONDS - started))
  [ "$verdict" = same ] || printf '  is      %s\n  wanted  %s\n' "$hashes" "$reference"
done
if [ -n "$different" ]; then
  echo "parity: BROKEN on $different of $tried (cp x sp), see the lines above"
  exit 1
fi
echo "parity: the same bytes on $tried (cp x sp); $reference"

#!/usr/bin/env bash
# Shows whether your checkpoint gives the same bytes on one process and on several: makes a few steps of one video on
# 1, cp 2, cp 2 x sp 2 and sp 3 processes and compares latents, frames and the file. One line says the verdict.
#   scripts/parity.sh --model DIR [--steps N] [--program FILE] [-- FLAG OF COGVX-GEN...]
# Exit 0: all the same. 1: not. 2: usage, or a run failed.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
source "$root/scripts/common.sh"

model="" steps=2 program="$root/build/app/cogvx-gen" flags=()
while [ $# -gt 0 ]; do
  case "$1" in
    --model|--steps|--program)
      [ $# -ge 2 ] || die "$1 wants a value"
      case "$1" in --model) model=$2 ;; --steps) steps=$2 ;; *) program=$2 ;; esac
      shift ;;
    --) shift; flags=("$@"); break ;;
    *) die "unknown argument '$1'; it takes --model, --steps, --program and -- FLAGS OF COGVX-GEN" ;;
  esac
  shift
done
[ -n "$model" ] || die "--model is missing: a checkpoint directory, for example configs/demo"
[ -x "$program" ] || die "no program '$program'; build it (scripts/demo.sh does), or name it with --program"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
field() { grep -o "\"$2\":\"[0-9a-f]*\"" <<<"$1" | head -n 1 | cut -d'"' -f4; }

reference="" different=0
for mesh in "1 1" "2 1" "2 2" "1 3"; do
  read -r cp sp <<<"$mesh"
  started=$SECONDS
  report=$("$program" --model "$model" --prompt "a red circle" --steps "$steps" --cp "$cp" --sp "$sp" \
    --json --quiet -o "$folder/cp$cp-sp$sp.mp4" "${flags[@]}" 2>"$folder/log") ||
    { tail -n 3 "$folder/log" >&2; die "the run on cp $cp x sp $sp failed; its last lines are above"; }
  hashes="latents $(field "$report" sha256_latents), frames $(field "$report" sha256_frames)"
  hashes+=", file $(sha256sum "$folder/cp$cp-sp$sp.mp4" | cut -d' ' -f1)"
  [ -n "$reference" ] || reference=$hashes
  verdict=same
  [ "$hashes" = "$reference" ] || { verdict=DIFFERENT; different=1; }
  printf 'cp %d x sp %d: %s (%d s)\n' "$cp" "$sp" "$verdict" $((SECONDS - started))
  [ "$verdict" = same ] || printf '  is      %s\n  wanted  %s\n' "$hashes" "$reference"
done
if [ "$different" = 0 ]; then
  echo "parity: the same bytes on 1, 2, 3 and 4 processes; $reference"
else
  echo "parity: BROKEN, see the lines above"
fi
exit "$different"

#!/usr/bin/env bash
# Makes a small video with the demo model, from nothing but this checkout: sets up, builds cogvx-gen, runs it.
#   scripts/demo.sh [--grid] [--program FILE] [PROMPT]
# --grid makes the same video on one process, on two (cp 2) and on four (cp 2 x sp 2), prints the three hashes and says in
# one line whether they are equal; exit 1 where they are not. --program takes a cogvx-gen that is there and builds none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly output=out/demo.mp4 model=configs/demo

build_program() {
  # Configured before, even by hand: ninja itself sees what changed.
  if ! grep -qs '^COGVX_BUILD_APP:BOOL=ON' build/CMakeCache.txt || [ ! -e build/build.ninja ]; then
    mkdir -p build
    cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOGVX_BUILD_APP=ON >build/configure.log 2>&1 ||
      { tail -n 20 build/configure.log >&2; die "cmake could not configure 'build'; see above and build/configure.log"; }
  fi
  [ -x build/app/cogvx-gen ] || echo "building cogvx-gen; the first time takes minutes"
  ninja -C build -j "$(build_jobs)" --quiet cogvx-gen || die "the build failed; the first error is above"
}

# cp, sp, where to, prompt: the report of a run.
run_mesh() {
  "$program" --model "$model" --prompt "$4" --cp "$1" --sp "$2" -o "$3" --overwrite --json --progress none --quiet ||
    die "the run on cp $1 x sp $2 failed; its last line is above"
}

# The blocks of 64 rows that one branch's joint sequence has, by what the ranks of cp 2 x sp 2 say they computed; dies where
# one of them had none, for then it would prove nothing.
check_all_had_work() {  # report
  local blocks own total=0 layers steps
  mapfile -t blocks < <(grep -o '"units":\[[^]]*\]' <<<"$1" | grep -o '"row_blocks":[0-9]*' | cut -d: -f2)
  [ ${#blocks[@]} = 4 ] || die "the report of cp 2 x sp 2 names ${#blocks[@]} ranks, wanted 4"
  for own in "${blocks[@]}"; do
    [ "$own" -gt 0 ] || die "a rank of cp 2 x sp 2 had no rows (${blocks[*]} blocks): take a longer or larger video"
    total=$((total + own))
  done
  layers=$(sed -n 's/.*"num_layers": *\([0-9]*\).*/\1/p' "$model/transformer/config.json")
  steps=$(grep -o '"steps":[0-9]*' <<<"$1" | head -n 1 | cut -d: -f2)
  total=$((total / (2 * layers * steps)))
  [ "$total" -ge 3 ] || die "the joint sequence spans $total blocks of 64 rows, wanted 3 or more"
  echo "the joint sequence spans $total blocks of 64 rows; blocks computed by the 4 ranks: ${blocks[*]}"
}

grid() {  # prompt
  local mesh cp sp file report hash latents frames reference="" different=""
  for mesh in "1 1" "2 1" "2 2"; do
    read -r cp sp <<<"$mesh"
    file="${output%.mp4}-cp$cp-sp$sp.mp4"
    report=$(run_mesh "$cp" "$sp" "$file" "$1")
    hash=$(sha256sum "$file" | cut -d' ' -f1)
    latents=$(hash_in "$report" sha256_latents)
    frames=$(hash_in "$report" sha256_frames)
    [ -n "$reference" ] || reference="$hash $latents $frames"
    [ "$hash $latents $frames" = "$reference" ] || different+="${different:+, }cp $cp x sp $sp"
    echo "cp $cp x sp $sp  $hash  $PWD/$file"
  done
  if [ -n "$different" ]; then
    echo "demo: DIFFERENT on $different: the number of processes changed the video"
    exit 1
  fi
  check_all_had_work "$report"
  echo "demo: the same video, byte for byte, on 1, 2 and 4 processes"
}

main() {
  local with_grid=0 prompt="a red circle moves right on a blue background"
  program=""
  while [ $# -gt 0 ]; do
    case "$1" in
      --grid) with_grid=1 ;;
      --program)
        [ $# -ge 2 ] || die "$1 wants a value"
        program=$2
        shift ;;
      -*) die "unknown argument '$1'; it takes --grid, --program and a prompt" ;;
      *) break ;;
    esac
    shift
  done
  [ $# -le 1 ] || die "wanted one prompt, found $# arguments; put the prompt in quotes"
  [ $# = 0 ] || prompt=$1
  if [ -z "$program" ]; then
    scripts/setup.sh --quiet
    build_program
    program=build/app/cogvx-gen
  fi
  mkdir -p "${output%/*}"
  if [ "$with_grid" = 1 ]; then
    grid "$prompt"
    return
  fi
  "$program" --model "$model" --prompt "$prompt" -o "$output" --overwrite >/dev/null
  echo "the video is $PWD/$output"
}

main "$@"

#!/usr/bin/env bash
# Makes a small video with the demo model, from nothing but this checkout: sets up, builds cogvx-gen, runs it.
#   scripts/demo.sh [PROMPT]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly output=out/demo.mp4

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

main() {
  [ $# -le 1 ] || die "wanted one prompt, found $# arguments; put the prompt in quotes"
  case "${1:-}" in -*) die "unknown argument '$1'; it takes a prompt" ;; esac
  scripts/setup.sh --quiet
  build_program
  mkdir -p "${output%/*}"
  build/app/cogvx-gen --model configs/demo --prompt "${1-a red circle moves right on a blue background}" -o "$output" --overwrite >/dev/null
  echo "the video is $PWD/$output"
}

main "$@"

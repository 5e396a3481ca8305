#!/usr/bin/env bash
# Builds the CUDA plugins for compute capabilities 8.0, 8.9, 9.0 and 10.0 and shows with cuobjdump that each holds code for every
# one of them, and PTX of the newest for GPUs that come later.
#   scripts/check_architectures.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly build=build-architectures architectures=(80 89 90 100)
readonly libraries=(libcogvx_cuda.so libcogvx_cuda_ops.so)

# The toolkit's, or where that came in parts without it, a wheel's.
find_cuobjdump() {
  local tool
  for tool in "$(command -v cuobjdump)" "$(dirname "$1")/cuobjdump"; do
    [ ! -x "$tool" ] || { echo "$tool"; return; }
  done
  scripts/setup.sh --cuobjdump --quiet >&2
  chmod +x .deps/python/nvidia/cu13/bin/cuobjdump
  echo .deps/python/nvidia/cu13/bin/cuobjdump
}

check_library() {  # cuobjdump, library
  local code ptx architecture
  code=$("$1" --list-elf "$2") || die "cuobjdump cannot read '$2'"
  ptx=$("$1" --list-ptx "$2") || die "cuobjdump cannot read '$2'"
  for architecture in "${architectures[@]}"; do
    grep -q "sm_$architecture\." <<<"$code" || die "'$2' holds no code for sm_$architecture, found: $(tr '\n' ' ' <<<"$code")"
  done
  grep -q "sm_${architectures[-1]}\." <<<"$ptx" || die "'$2' holds no PTX of ${architectures[-1]}, found: $(tr '\n' ' ' <<<"$ptx")"
}

main() {
  local nvcc tool library list
  [ $# = 0 ] || die "unknown argument '$1'; it takes none"
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  [ -x "$nvcc" ] || die "there is no nvcc in PATH or /usr/local/cuda/bin; install CUDA 13's"
  tool=$(find_cuobjdump "$nvcc")
  list=$(IFS=';'; echo "${architectures[*]}")
  cmake -S . -B "$build" -G Ninja -DCOGVX_BUILD_APP=OFF -DCOGVX_BUILD_TESTS=OFF -DCOGVX_CUDA=ON -DCOGVX_CUDA_ARCHITECTURES="$list"
  ninja -C "$build" -j "$(build_jobs)" cogvx_cuda cogvx_cuda_ops
  for library in "${libraries[@]}"; do
    check_library "$tool" "$build/lib/$library"
    echo "$library: code for ${architectures[*]}, PTX of ${architectures[-1]}"
  done
}

main "$@"

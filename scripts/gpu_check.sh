#!/usr/bin/env bash
# Shows on a machine with a GPU that the CUDA part does what the CPU part does, and writes one report. Such a machine
# needs nvcc 13, CMake, ninja and a python3 that holds PyTorch 2.11; what else it lacks comes along in .deps/bare
# (scripts/setup.sh --bare, on a machine with Debian packages).
#   scripts/gpu_check.sh [--out DIR] [--phase NAME]... [--no-gpu]
#   --phase   only this one, may be given again: build (what a GPU needs), units (tests of it that need no GPU), probe
#   --no-gpu  without the phases that need a GPU: what CI does
# Run again, it goes on after the last phase that was good. Exit 0: all good. 1: a phase failed. 2: usage.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly all_phases=(build units probe)
readonly build=build-gpu
readonly unit_tests=(core/cuda_kernels_test core/cuda_plugin_test parallel/device_group_test)
out=$build/report no_gpu=0 phases=()

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --out|--phase)
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$1" in --out) out=$2 ;; *) phases+=("$2") ;; esac
        shift ;;
      --no-gpu) no_gpu=1 ;;
      -h|--help) sed -n '2,/^set -euo/ { /^set/d; s/^# \{0,1\}//; p }' "$0"; exit 0 ;;
      *) die "unknown argument '$1'; it takes --out, --phase and --no-gpu" ;;
    esac
    shift
  done
  local phase
  for phase in "${phases[@]}"; do
    [[ " ${all_phases[*]} " == *" $phase "* ]] || die "--phase is '$phase'; it takes ${all_phases[*]}"
  done
  if [ ${#phases[@]} = 0 ]; then
    phases=("${all_phases[@]}")
    [ "$no_gpu" = 0 ] || phases=(build units)
  fi
}

# The folder above the torch that this machine's python3 holds, or ours.
torch_folder() {
  if [ -e .deps/python/torch/lib/libtorch_cpu.so ]; then
    echo "$PWD/.deps/python"
  else
    python3 -c 'import importlib.util, os; print(os.path.dirname(os.path.dirname(importlib.util.find_spec("torch").origin)))'
  fi
}

phase_build() {
  local architectures=90
  [ "$no_gpu" = 1 ] || architectures=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -u | paste -sd';')
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOGVX_BUILD_APP=OFF -DCOGVX_CUDA=ON \
    -DCOGVX_BARE_DIR="$PWD/.deps/bare" -DCOGVX_TORCH_DIR="$(torch_folder)" -DCOGVX_CUDA_ARCHITECTURES="$architectures"
  ninja -C "$build" -j "$(build_jobs)" cogvx_core cogvx_parallel cogvx_cuda gpu_test "${unit_tests[@]##*/}"
}

phase_units() {
  local test
  for test in "${unit_tests[@]}"; do "$build/tests/$test" --gtest_color=no --gtest_brief=1; done
}

phase_probe() { "$build/tests/gpu/gpu_test" --gtest_color=no --gtest_filter='Probe.*'; }

run_phase() {
  local phase=$1 started=$SECONDS result=good log="$out/$1.log"
  if [ -e "$build/.good-$phase" ] && [ "$phase" != build ]; then
    echo "$phase: good before"
    return
  fi
  # In a condition bash would go on after a command that failed.
  set +e
  (set -e; "phase_$phase") >"$log" 2>&1
  [ $? = 0 ] || result=FAILED
  set -e
  grep -q '^skipped: ' "$log" && result="$(grep -m1 '^skipped: ' "$log")"
  [ "$result" = FAILED ] || touch "$build/.good-$phase"
  printf '%s: %s in %d s\n' "$phase" "$result" $((SECONDS - started)) | tee -a "$out/report.txt"
  grep '^report: ' "$log" >>"$out/report.txt" || true
  printf '{"phase": "%s", "result": "%s", "seconds": %d}\n' "$phase" "$result" $((SECONDS - started)) >>"$out/report.jsonl"
  [ "$result" != FAILED ] || { tail -n 20 "$log" >&2; return 1; }
}

main() {
  parse "$@"
  mkdir -p "$build" "$out"
  local phase failed=0
  for phase in "${phases[@]}"; do run_phase "$phase" || failed=1; done
  exit "$failed"
}

main "$@"

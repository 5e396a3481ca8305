#!/usr/bin/env bash
# Shows on a machine with a GPU that the CUDA part does what the CPU part does, and writes one report. Such a machine
# needs nvcc 13, CMake, ninja and a python3 that holds PyTorch 2.11; what else it lacks comes along in .deps/bare
# (scripts/setup.sh --bare, on a machine with Debian packages).
#   scripts/gpu_check.sh [--out DIR] [--phase NAME]... [--no-gpu]
#   --phase   only this one, may be given again; after `build`, which is always done:
#             units      tests of the CUDA part that need no GPU
#             probe      the devices that the plugin finds
#             kernels    each of our kernels against its host function
#             matrix     rows and heads of any owner against one owner's, over shapes, dtypes and --attention
#             goldens    what diffusers computed: fp32, and bf16 as close to it as diffusers' own bf16
#             ranks      1x2, 1x3 and 2x2 ranks on one GPU: the hashes of one process
#             nccl       a group of one rank through NCCL
#             geometry   milliseconds and memory of a step and of a VAE tile at the sizes of 2B and 5B, of fewer layers
#             sanitizer  compute-sanitizer over the kernels
#   --no-gpu  a rehearsal: the same with fake plugins that compute on the CPU, with small sizes, and in the end faults
#             that the checks must find; what CI does
# DIR (build-gpu/report) gets report.json, report.txt and a log of each phase. Run again, it goes on after the phases that
# were good with this build. Exit 0: all good. 1: a phase failed. 2: usage, or there is no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly gpu_phases=(build units probe kernels matrix goldens ranks nccl geometry sanitizer)
readonly build=build-gpu most_bytes=$((64 << 20))
readonly unit_tests=(core/cuda_kernels_test core/cuda_plugin_test core/cuda_ops_plugin_test parallel/device_group_test)
# What a machine without Debian packages has not.
readonly foreign_headers='^ +/usr/(local/)?include/(x86_64-linux-gnu/)?(nlohmann|gtest|gmock|benchmark|CLI|spdlog|fmt|libav[a-z]*|libsw[a-z]*|sentencepiece)'
# A GPU machine has 16 cores; who rehearses may have two.
phase_seconds=540
out="" no_gpu=0 inside="" phases=() all_phases=("${gpu_phases[@]}")

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --out|--phase|--inside)  # --inside: this script calls itself for one phase
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$1" in --out) out=$2 ;; --phase) phases+=("$2") ;; *) inside=$2 ;; esac
        shift ;;
      --no-gpu) no_gpu=1 ;;
      -h|--help) sed -n '2,/^set -euo/ { /^set/d; s/^# \{0,1\}//; p }' "$0"; exit 0 ;;
      *) die "unknown argument '$1'; it takes --out, --phase and --no-gpu" ;;
    esac
    shift
  done
  [ "$no_gpu" = 0 ] || { all_phases+=(controls); phase_seconds=1500; }
  local phase
  for phase in "${phases[@]}"; do
    [[ " ${all_phases[*]} " == *" $phase "* ]] || die "--phase is '$phase'; it takes ${all_phases[*]}"
  done
  [ ${#phases[@]} -gt 0 ] || phases=("${all_phases[@]}")
  [ "${phases[0]}" = build ] || phases=(build "${phases[@]}")
  [ -n "$out" ] || { [ "$no_gpu" = 1 ] && out=$build/rehearsal || out=$build/report; }
}

# The folder above the torch that this machine's python3 holds, or ours.
torch_folder() {
  if [ -e .deps/python/torch/lib/libtorch_cpu.so ]; then
    echo "$PWD/.deps/python"
  else
    python3 -c 'import importlib.util, os; print(os.path.dirname(os.path.dirname(importlib.util.find_spec("torch").origin)))'
  fi
}

gpu_query() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | sort -u; }

# A rehearsal leaves the real plugins alone and loads fakes.
use_fakes() {
  mkdir -p "$build/fakes"
  ln -sfn "$PWD/$build/tests/core/libcogvx_fake_cuda.so" "$build/fakes/libcogvx_cuda.so"
  ln -sfn "$PWD/$build/tests/core/libcogvx_fake_cuda_ops.so" "$build/fakes/libcogvx_cuda_ops.so"
  export COGVX_GPU_PLUGINS="$PWD/$build/fakes" COGVX_GPU_SMALL=1 COGVX_FAKE_CUDA="two devices"
}

# A machine that is lent takes so much and no more.
check_carried_size() {
  local bytes
  bytes=$( (source_files "*"; find .deps/bare/ -type f -print0) | du -cb --files0-from=- | awk 'END {print $1}')
  echo "report: {\"check\": \"carried\", \"bytes\": $bytes, \"most\": $most_bytes}"
  ((bytes < most_bytes)) || { echo "the tree and .deps/bare are too much to carry to a GPU machine"; return 1; }
}

check_headers() {
  local found
  found=$(ninja -C "$build" -t deps | grep -E "$foreign_headers" | sort -u || true)
  [ -z "$found" ] || { printf 'included, but a bare machine has none of it:\n%s\n' "$found"; return 1; }
}

phase_build() {
  local architectures=90 werror=ON torch
  torch=$(torch_folder)
  if [ "$no_gpu" = 1 ]; then
    [ -e .deps/bare/googletest ] || scripts/setup.sh --bare --quiet
    check_carried_size
  else
    architectures=$(gpu_query compute_cap | tr -d . | paste -sd';')
    werror=OFF  # another machine's compiler may warn of more
  fi
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCOGVX_BUILD_APP=OFF -DCOGVX_CUDA=ON -DCOGVX_WARNINGS_AS_ERRORS=$werror \
    -DCOGVX_BARE_DIR="$PWD/.deps/bare" -DCOGVX_TORCH_DIR="$torch" -DCOGVX_CUDA_ARCHITECTURES="$architectures" \
    -DCMAKE_INCLUDE_PATH="$torch/nvidia/cu13/include;$torch/nvidia/nccl/include"
  ninja -C "$build" -j "$(build_jobs)" cogvx_core cogvx_parallel cogvx_cuda cogvx_cuda_ops cogvx_nccl cogvx_fake_cuda \
    cogvx_fake_cuda_ops gpu_test gpu_golden_test geometry_bench "${unit_tests[@]##*/}" 2>&1 | tee "$out/ninja.log"
  # What was good with another build says nothing of this one.
  grep -q 'no work to do' "$out/ninja.log" || rm -f "$out"/*.good "$out"/*.result
  check_headers
}

phase_units() {
  local test
  for test in "${unit_tests[@]}"; do "$build/tests/$test" --gtest_color=no --gtest_brief=1; done
}

gpu_test() { "$build/tests/gpu/gpu_test" --gtest_color=no --gtest_filter="$1"; }
golden_test() { "$build/tests/gpu/gpu_golden_test" --gtest_color=no --gtest_filter="$1"; }
attentions() { if [ "$no_gpu" = 1 ]; then echo flash; else echo flash cudnn math; fi; }

phase_probe() { gpu_test 'Probe.*'; }
phase_kernels() { gpu_test 'Kernels.*'; }
phase_matrix() { gpu_test '*Matrix.*'; }
phase_nccl() { gpu_test 'Nccl.*'; }

phase_goldens() {
  golden_test '-*Bf16*'
  local attention
  for attention in $(attentions); do COGVX_GPU_ATTENTION=$attention golden_test '*Bf16*'; done
}

phase_ranks() {
  gpu_test '*VirtualRanks*/Float'
  local attention
  for attention in $(attentions); do COGVX_GPU_ATTENTION=$attention gpu_test '*VirtualRanks*/BFloat16'; done
}

# Two layers of real width with random weights; a rehearsal's are narrow.
checkpoint_of() {  # geometry
  local folder=$build/$1 narrow=()
  [ "$no_gpu" = 0 ] || { folder+=-narrow; narrow=(--heads 2 --slim-vae 16); }
  if [ ! -e "$folder" ]; then
    rm -rf "$folder.part"
    python3 scripts/make_random_checkpoint.py --geometry "$1" --layers 2 "${narrow[@]}" \
      --tokenizer configs/demo/tokenizer/spiece.model "$folder.part"
    mv "$folder.part" "$folder"
  fi
  echo "$folder"
}

phase_geometry() {
  local geometry attention latent=13x60x90 tile=13x30x45
  [ "$no_gpu" = 0 ] || latent=2x8x12 tile=3x6x8
  for geometry in 2b 5b; do
    for attention in $(attentions); do
      "$build/tests/gpu/geometry_bench" "$(checkpoint_of "$geometry")" --attention "$attention" --latent "$latent" --tile 0x0x0
    done
  done
  "$build/tests/gpu/geometry_bench" "$(checkpoint_of 2b)" --latent 0x0x0 --tile "$tile"
}

phase_sanitizer() {
  local sanitizer tool said
  sanitizer=$(command -v compute-sanitizer || echo "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")/compute-sanitizer")
  [ -x "$sanitizer" ] || { echo "skipped: there is no compute-sanitizer in PATH or beside nvcc"; return; }
  for tool in memcheck racecheck synccheck; do
    said=$("$sanitizer" --tool "$tool" --report-api-errors no "$build/tests/gpu/gpu_test" --gtest_color=no \
      --gtest_filter=Kernels.GiveTheBytesOfTheirHostFunctionsOnSmallShapes 2>&1) || true
    echo "$said"
    # Where it does not work it gives no summary.
    grep -qE 'ERROR SUMMARY|RACECHECK SUMMARY' <<<"$said" ||
      { echo "skipped: compute-sanitizer does not work here: $(tail -n 1 <<<"$said")"; return; }
    grep -qE 'ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards' <<<"$said" || return 1
    grep -qxF '[  PASSED  ] 1 test.' <<<"$said" || return 1
    echo "report: {\"check\": \"sanitizer\", \"tool\": \"$tool\", \"wrong\": \"\"}"
  done
}

expect_red() {  # the fault, program, filter
  local said
  said=$(COGVX_FAKE_CUDA_OPS=$1 "$2" "$3" 2>&1) && { echo "the fault '$1' was not found by $3"; return 1; }
  grep -q '^\[  FAILED  \]' <<<"$said" || { echo "$said"; echo "the fault '$1' ended $3 in another way"; return 1; }
  echo "found: $1"
}

phase_controls() {
  expect_red 'rows count' gpu_test '*Matrix.Rows*'
  expect_red 'heads count' gpu_test '*Matrix.Heads*'
  expect_red 'kernels' gpu_test 'Kernels.*Small*'
  expect_red 'every second differs' gpu_test '*VirtualRanks*/Float'
  expect_red 'wrong' golden_test '*TextGolden*'
}

run_phase() {
  local phase=$1 order=$2 started=$SECONDS result=good status=0 log="$out/$1.log"
  if [ -e "$out/$phase.good" ]; then
    echo "$phase: good before"
    return
  fi
  local again=(--out "$out" --inside "$phase")
  [ "$no_gpu" = 0 ] || again+=(--no-gpu)
  timeout --kill-after=20 "$phase_seconds" scripts/gpu_check.sh "${again[@]}" >"$log" 2>&1 || status=$?
  if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    result="FAILED, it ran past $phase_seconds s"
  elif [ "$status" != 0 ]; then
    result=FAILED
  elif grep -q '^skipped: ' "$log"; then
    result=$(grep -m1 '^skipped: ' "$log")
  fi
  [ "$result" != good ] || [ "$phase" = build ] || touch "$out/$phase.good"
  printf '%s: %s in %d s\n' "$phase" "$result" $((SECONDS - started))
  printf '%s\t%s\t%s\t%s\n' "$order" "$phase" $((SECONDS - started)) "$result" >"$out/$phase.result"
  [ "$status" = 0 ] || { tail -n 20 "$log" >&2; return 1; }
}

write_report() {
  local mode=GPU
  [ "$no_gpu" = 0 ] || mode="rehearsal with fake plugins on a CPU: no figure here is a GPU's"
  python3 scripts/gpu_report.py "$out" "mode=$mode" "date=$(date -u +%Y-%m-%dT%H:%MZ)" \
    "commit=$(git -c safe.directory="$PWD" describe --always --dirty 2>/dev/null || echo unknown)" \
    "gpu=$(gpu_query name,memory.total,compute_cap || true)" "driver=$(gpu_query driver_version || true)" \
    "nvidia_smi=$(nvidia-smi 2>/dev/null | grep -m1 'CUDA Version' | tr -s ' |' ' ' || true)" \
    "nvcc=$( ("$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)" --version 2>/dev/null || true) | grep -o 'V[0-9][0-9.]*' || true)" \
    "torch=$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$(torch_folder)/torch/version.py")" \
    "cpu=$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) cores"
  echo "report: $out/report.txt and report.json"
}

main() {
  parse "$@"
  [ "$no_gpu" = 1 ] || [ -n "$(gpu_query name)" ] || die "nvidia-smi names no GPU here; --no-gpu rehearses without one"
  if [ -n "$inside" ]; then
    [ "$no_gpu" = 0 ] || use_fakes
    "phase_$inside"
    return
  fi
  mkdir -p "$build" "$out"
  local phase failed=0 order
  for phase in "${phases[@]}"; do
    for order in "${!all_phases[@]}"; do [ "${all_phases[$order]}" != "$phase" ] || break; done
    run_phase "$phase" "$order" || { failed=1; [ "$phase" != build ] || break; }
  done
  write_report
  exit "$failed"
}

main "$@"

#!/usr/bin/env bash
# Sets up, builds, checks and tests; ends with ctest's summary and its exit code. Run again, it does only what changed.
#   scripts/test.sh [--all] [--label unit|golden|cli|fuzz] [--sanitize address|thread] [--build-dir D] [--werror]
#                   [--rehearse] [-- CMAKE ARGUMENT...]
#   --all       also what is too long for CI: the tests of equal bytes and of diffusers' outputs with every other set of kernels
#               this CPU has, AddressSanitizer and UBSan, ThreadSanitizer, the benchmarks build, the CUDA plugins for every
#               GPU, cogvx-compare's pages in a browser, the tarball in a bare chroot (as root), --rehearse, and ten minutes
#               instead of half a one for each fuzz target
#   --sanitize  builds in build-address or build-thread; without --label it runs what is worth running there
#   --werror    compiler warnings are errors; so too where CI is set
#   --rehearse  also scripts/gpu_check.sh --no-gpu, as CI does
# shellcheck disable=SC2317  # phase and extra call functions by name
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

all=0 rehearse=0 label="" sanitize="" build="" werror=OFF cmake_arguments=()
[ -z "${CI:-}" ] || werror=ON
# Tests whose names match run under ThreadSanitizer: those that share a pool of threads, and a process's own helpers.
readonly thread_tests='[Tt]hread|[Pp]ool|[Ww]orker|Heartbeat|LifeBoard|SilenceWatch'

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --all) all=1 ;;
      --werror) werror=ON ;;
      --rehearse) rehearse=1 ;;
      --label|--sanitize|--build-dir)
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$1" in --label) label=$2 ;; --sanitize) sanitize=$2 ;; *) build=$2 ;; esac
        shift ;;
      --) shift; cmake_arguments=("$@"); break ;;
      *) die "unknown argument '$1'; it takes --all, --label, --sanitize, --build-dir, --werror, --rehearse and -- CMAKE ARGUMENTS" ;;
    esac
    shift
  done
  case "$label" in ""|unit|golden|cli|fuzz) ;; *) die "--label is '$label'; it takes unit, golden, cli or fuzz" ;; esac
  case "$sanitize" in ""|address|thread) ;; *) die "--sanitize is '$sanitize'; it takes address or thread" ;; esac
  [ -z "$sanitize" ] || [ "$label" != fuzz ] || die "the fuzz targets have sanitizers of their own; leave out --sanitize"
  [ "$all" = 0 ] || [ -z "$sanitize$label" ] || die "--all runs every label and sanitizer; leave out --label and --sanitize"
  [ -n "$build" ] || build=build${sanitize:+-$sanitize}
}

phases="" check_seconds=0
phase() {  # name, minutes of CI's budget, command...
  local name=$1 minutes=$2 started=$SECONDS
  shift 2
  "$@"
  phases+="$(printf '%-24s %5d s of %d min' "$name" $((SECONDS - started)) "$minutes")"$'\n'
}

setup() { scripts/setup.sh --quiet; }

build_tree() {  # folder, cmake argument...
  local log folder=$1
  shift
  mkdir -p "$folder"
  log="$folder/configure.log"
  cmake -S . -B "$folder" -G Ninja -DCOGVX_WARNINGS_AS_ERRORS="$werror" "$@" "${cmake_arguments[@]}" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "cmake could not configure '$folder'; see above and $log"; }
  [ -e "$folder/.ninja_log" ] || echo "building in '$folder'; the first time takes minutes"
  ninja -C "$folder" -j "$(build_jobs)" --quiet || die "the build in '$folder' failed; the first error is above"
}

# Also the fuzz targets where they will run, so that no test has to compile them.
build_all() {
  build_tree "$build" -DCOGVX_SANITIZE=
  case "$label" in ""|fuzz) scripts/fuzz.sh --build ;; esac
}

check_sources() {
  local started=$SECONDS
  scripts/check_includes.sh
  scripts/check_includes.sh --self-test
  scripts/gpu_only.sh --self-test
  scripts/gpu_only.sh
  scripts/format.sh --check
  check_seconds=$((SECONDS - started))
}

run_ctest() {  # folder, ctest argument...
  local folder=$1
  shift
  ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
}

# Every sanitizer stops at its first find and names our suppressions, each of which says why it is there.
sanitizer_environment() {
  local support="$PWD/tests/support"
  export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
  export LSAN_OPTIONS="suppressions=$support/lsan.supp:print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}"
  export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
  export TSAN_OPTIONS="suppressions=$support/tsan.supp:halt_on_error=1:second_deadlock_stack=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
}

sanitizer_build() {  # address|thread, folder
  local arguments=(-DCOGVX_SANITIZE="$1")
  # libav and the program around the pool have no threads of ours, and take long to build.
  [ "$1" != thread ] || arguments+=(-DCOGVX_BUILD_APP=OFF)
  build_tree "$2" "${arguments[@]}"
}

sanitizer_tests() {  # address|thread, folder
  # What a sanitizer's own memory would fail says nothing.
  local chosen=(-L 'unit|golden|cli' -E 'PeakMemory|Soak\.|HostileWorld\.Memory')
  # The control runs on ATen's own threads on purpose; ThreadSanitizer does not see libgomp join them.
  [ "$1" != thread ] || chosen=(-R "$thread_tests" -E InvarianceControl)
  [ -z "$label" ] || chosen=(-L "$label")
  (sanitizer_environment; run_ctest "$2" "${chosen[@]}")
}

extra() {  # title, command...: one line with its result; what it said stays in a log
  local title=$1 started=$SECONDS log result
  log="$build/${1%% *}.log"
  shift
  if ("$@") >"$log" 2>&1; then
    result="good"
  else
    result="FAILED, see $log"
    extras_failed=1
  fi
  local summary
  summary=$(grep -E '^[0-9]+% tests passed' "$log" || true)
  echo "$title: $result in $((SECONDS - started)) s${summary:+: $summary}"
}

sanitize_all() { sanitizer_build "$1" "build-$1"; sanitizer_tests "$1" "build-$1"; }

# With this CPU's best kernels ctest runs all tests; with the others those of equal bytes (the label hash, see
# tests/CMakeLists.txt) and those of diffusers' outputs.
other_kernels() {
  local path paths best
  paths=$(COGVX_CPU_PATH='?' "$build/app/cogvx-gen" --doctor 2>&1 | sed -n 's/.*this CPU has //p') || true
  [ -n "$paths" ] || die "'$build/app/cogvx-gen' does not say which kernels this CPU has"
  best=${paths##*, }
  for path in plain avx2 avx512; do
    if [ "$path" = "$best" ]; then
      echo "kernels-$path: skipped: they are this CPU's best, with which all tests run"
    elif [[ ", $paths," == *", $path,"* ]]; then
      extra "kernels-$path (equal bytes and diffusers' outputs with the $path kernels)" with_kernels "$path"
    else
      echo "kernels-$path: skipped: this CPU has $paths"
    fi
  done
}

with_kernels() { COGVX_CPU_PATH=$1 run_ctest "$build" -L '^(hash|golden)$'; }

run_extras() {
  other_kernels
  extra "asan (AddressSanitizer and UBSan, unit, golden and cli tests)" sanitize_all address
  extra "tsan (ThreadSanitizer, tests of threads)" sanitize_all thread
  if [ -e tests/bench/CMakeLists.txt ]; then
    extra "bench (the benchmarks build)" build_tree "$build" -DCOGVX_BUILD_BENCHMARKS=ON
  else
    echo "bench: skipped: there is no tests/bench/CMakeLists.txt yet"
  fi
  extra "pages (of cogvx-compare, opened in Chromium)" check_pages
  extra "architectures (the CUDA plugins for every GPU)" scripts/check_architectures.sh
  if [ "$(id -u)" = 0 ]; then
    extra "tarball (the demo video in a bare chroot)" scripts/check_tarball.sh --build-dir "$build"
  else
    echo "tarball: skipped: a chroot wants root"
  fi
}

check_pages() {
  scripts/setup.sh --browser --quiet &&
    python3 tests/app/compare_page_chromium.py --program "$build/app/cogvx-compare"
}

rehearse_gpu_check() {
  extra "gpu_check (scripts/gpu_check.sh without a GPU)" scripts/gpu_check.sh --no-gpu
}

# Passes ctest's lines on as they come, but holds its summary back until the phases are printed, so that it ends the
# output. The time of a label is its tests' own divided by the jobs: they run mixed.
with_phases() {
  local fuzz_minutes=3
  [ "$all" = 0 ] || fuzz_minutes=20
  awk -v phases="$phases" -v jobs="$(nproc)" -v checks="$check_seconds" -v fuzz_minutes="$fuzz_minutes" '
    /^[0-9]+% tests passed/ { held = 1 }
    !held { print; fflush(); next }
    { summary = summary $0 "\n" }
    $1 ~ /^(unit|golden|cli|fuzz)$/ && $2 == "=" { seconds[$1] = $3 / jobs }
    END {
      printf "\nphases and their budgets\n%s", phases
      printf "%-24s %5.0f s of 8 min\n", "unit and golden tests", seconds["unit"] + seconds["golden"]
      printf "%-24s %5.0f s of 12 min\n", "source checks, cli tests", checks + seconds["cli"]
      printf "%-24s %5.0f s of %d min\n\n%s", "fuzz", seconds["fuzz"], fuzz_minutes, summary
    }'
}

main_tests() {
  if [ -n "$sanitize" ]; then
    sanitizer_tests "$sanitize" "$build"
  elif [ -n "$label" ]; then
    run_ctest "$build" -L "$label"
  else
    run_ctest "$build"
  fi
}

main() {
  parse "$@"
  phase set-up 3 setup
  if [ -n "$sanitize" ]; then
    phase build 9 sanitizer_build "$sanitize" "$build"
  else
    phase build 9 build_all
  fi
  check_sources
  extras_failed=0
  [ "$all$rehearse" = 00 ] || phase "gpu_check, rehearsed" 8 rehearse_gpu_check
  [ "$all" = 0 ] || run_extras
  [ "$all" = 0 ] || export COGVX_LONG=1
  local status=0
  main_tests 2>&1 | with_phases || status=${PIPESTATUS[0]}
  if [ "$extras_failed" = 1 ]; then
    echo "test.sh: a part beside ctest failed; its line is above" >&2
    [ "$status" != 0 ] || status=1
  fi
  exit "$status"
}

main "$@"

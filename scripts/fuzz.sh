#!/usr/bin/env bash
# Fuzzes everything that reads a file: builds it with clang++, libFuzzer, AddressSanitizer and UBSan in build-fuzz, runs
# the targets, and ends with one line for each. Fails on a finding and says where its input is.
#   scripts/fuzz.sh [--seconds N] [--target NAME]   default: all (see `names`), 30 seconds, 600 where COGVX_LONG is 1
#   scripts/fuzz.sh --self-test   plants an off-by-one in a copy of safetensors.cpp and sees the fuzzer find it
#   scripts/fuzz.sh --coverage    prints the lines of the parsers that the corpus of the runs so far reaches
#   scripts/fuzz.sh --build       only builds; --built, with the others: builds nothing, exit 77 where nothing is built
# What the runs find stays in build-fuzz; tests/fuzz/make_corpus.py makes the seeds.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

readonly folder=build-fuzz
readonly limits=(-max_len=65536 -timeout=10 -malloc_limit_mb=256 -rss_limit_mb=2048 -dict=tests/fuzz/words.dict)
readonly names=(safetensors configs saved_run picture lora torch_pickle batch)
mode=fuzz built=0 seconds=30 targets=("${names[@]}")
[ "${COGVX_LONG:-}" != 1 ] || seconds=600

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --self-test|--coverage|--build) mode=${1#--} ;;
      --built) built=1 ;;
      --seconds|--target)
        [ $# -ge 2 ] || die "$1 wants a value"
        case "$1" in --seconds) seconds=$2 ;; *) targets=("$2") ;; esac
        shift ;;
      *) die "unknown argument '$1'; it takes --seconds, --target, --self-test, --coverage, --build and --built" ;;
    esac
    shift
  done
  [[ "$seconds" =~ ^[1-9][0-9]*$ ]] || die "--seconds is '$seconds', wanted a whole number above 0"
  [[ " ${names[*]} " == *" ${targets[0]} "* ]] || die "--target is '${targets[0]}'; it takes one of: ${names[*]}"
}

# Debian's clang-14 alone comes without the plain name.
tool() { command -v "$1" || command -v "$1-14" || die "no $1 here; scripts/setup.sh installs it"; }

build_in() {  # folder, cmake argument...
  local log="$1/configure.log" compiler
  compiler=$(tool clang++)
  mkdir -p "$1"
  cmake -S . -B "$1" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCOGVX_FUZZ=ON -DCOGVX_CUDA=OFF "${@:2}" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "cmake could not configure '$1'; see above and $log"; }
  log="$1/build.log"
  ninja -C "$1" -j "$(build_jobs)" --quiet >"$log" 2>&1 ||
    { tail -n 40 "$log" >&2; die "the build in '$1' failed; see above and $log"; }
}

program() { echo "$folder/tests/fuzz/fuzz_$1"; }

prepare() {
  if [ "$built" = 0 ]; then
    build_in "$folder"
  elif [ ! -x "$(program planted)" ]; then
    echo "fuzz: skipped: $folder is not built; run scripts/fuzz.sh --build"
    exit 77
  fi
}

run_target() {  # target: its log and findings lie in $folder
  mkdir -p "$folder/corpus/$1" "$folder/findings/$1"
  "$(program "$1")" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="$folder/findings/$1/" "$folder/corpus/$1" "tests/fuzz/corpus/$1" >"$folder/$1.log" 2>&1
}

report() {  # target, exit status of its run
  local log="$folder/$1.log" executions edges input
  executions=$(awk '/^stat::number_of_executed_units/ {print $2}' "$log")
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2) || true  # none where a seed ends it
  if [ "$2" = 0 ]; then
    echo "fuzz $1: good, ${executions:-0} executions in $seconds s, ${edges:-0} edges covered"
  else
    grep -E '^invariant broken|ERROR: |runtime error|SUMMARY' "$log" >&2 || tail -n 20 "$log" >&2
    input=$(sed -nE 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "fuzz $1: FINDING: its input is ${input:-not stored}; see $log"
  fi
}

fuzz() {
  local running=0 failed=0 target
  declare -A statuses=()
  for target in "${targets[@]}"; do
    ((running < $(nproc))) || { wait -n || true; ((running -= 1)); }
    # Not `run_target; echo $?`: set -e would end the subshell first and leave the status of an earlier run.
    (status=0; run_target "$target" || status=$?; echo "$status" >"$folder/$target.status") &
    ((running += 1))
  done
  wait
  for target in "${targets[@]}"; do
    statuses[$target]=$(cat "$folder/$target.status" 2>/dev/null || echo 1)
    report "$target" "${statuses[$target]}"
    [ "${statuses[$target]}" = 0 ] || failed=1
  done
  return "$failed"
}

self_test() {
  local scratch log
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064  # now, while the local variable is there
  trap "rm -rf '$scratch'" EXIT
  log="$scratch/log"
  mkdir "$scratch/corpus"
  "$(program planted)" -runs=0 tests/fuzz/corpus/safetensors >"$log" 2>&1 ||
    die "self-test: a seed alone finds the planted defect, so the fuzzer has nothing to prove"
  if "$(program planted)" "${limits[@]}" -max_total_time=60 -artifact_prefix="$scratch/" \
    "$scratch/corpus" tests/fuzz/corpus/safetensors >"$log" 2>&1; then
    die "self-test: 60 seconds did not find the planted off-by-one"
  fi
  grep -q 'AddressSanitizer: heap-buffer-overflow' "$log" ||
    { tail -n 20 "$log" >&2; die "self-test: it stopped for another reason than the planted off-by-one; see above"; }
  "$(program safetensors)" "$scratch"/crash-* >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "self-test: the input that found the planted defect stops the sound parser too"; }
  echo "fuzz: self-test good, the planted off-by-one was found"
}

coverage() {
  local target objects=() profiles=()
  build_in "$folder-coverage" -DCOGVX_FUZZ_COVERAGE=ON
  for target in "${targets[@]}"; do
    local inputs=("tests/fuzz/corpus/$target")
    [ ! -d "$folder/corpus/$target" ] || inputs+=("$folder/corpus/$target")
    LLVM_PROFILE_FILE="$folder-coverage/$target.profraw" "$folder-coverage/tests/fuzz/fuzz_$target" -runs=0 \
      "${inputs[@]}" >"$folder-coverage/$target.log" 2>&1
    [ ${#objects[@]} = 0 ] || objects+=(-object)
    objects+=("$folder-coverage/tests/fuzz/fuzz_$target")
    profiles+=("$folder-coverage/$target.profraw")
  done
  "$(tool llvm-profdata)" merge -o "$folder-coverage/all.profdata" "${profiles[@]}"
  "$(tool llvm-cov)" report "${objects[@]}" -instr-profile="$folder-coverage/all.profdata" "$PWD/core" "$PWD/io" "$PWD/app" |
    awk '$1 ~ /\.cpp$/ { printf "%-32s %4d of %4d lines, %s\n", $1, $8 - $9, $8, $10 }
         $1 == "TOTAL" { printf "%-32s %4d of %4d lines, %s\n", "all, headers too", $8 - $9, $8, $10 }'
}

main() {
  parse "$@"
  case "$mode" in
    build) build_in "$folder" ;;
    coverage) coverage ;;
    self-test) prepare; self_test ;;
    fuzz) prepare; fuzz ;;
  esac
}

main "$@"

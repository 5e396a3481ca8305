#!/usr/bin/env bash
# Times a few layers of 2B's geometry with 1 and 2 threads; the ratio within one run is what counts.
#   scripts/bench.sh [GOOGLE BENCHMARK ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

scripts/setup.sh --quiet
mkdir -p build out
cmake -S . -B build -G Ninja -DCOGVX_BUILD_BENCHMARKS=ON >build/configure.log 2>&1 ||
  { tail -n 20 build/configure.log >&2; die "cmake could not configure 'build'; see above and build/configure.log"; }
ninja -C build -j "$(build_jobs)" --quiet cogvx_bench || die "the build failed; the first error is above"
bench_checkpoint
COGVX_BENCH_CHECKPOINT=out/bench-2b exec build/tests/bench/cogvx_bench \
  --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true "$@"

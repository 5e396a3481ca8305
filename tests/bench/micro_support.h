#pragma once

#include <ATen/core/Tensor.h>
#include <benchmark/benchmark.h>

#include "core/base/allocator.h"
#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "tests/bench/bench_case.h"
#include "tests/support/cpu_path.h"

// What the micro-benchmarks share. Each runs one operation of the Ops interface at a size of 2B on
// one thread; rates are counters, so that they can be put beside brgemm's of scripts/bench.sh.
namespace cogvx::bench {

struct MicroOps {
  MicroOps() { install_allocator(); }  // as cogvx-gen does

  ThreadPool pool{1};
  CpuOps cpu{pool, test::cpu_path()};
  Ops& ops = cpu;
};

inline constexpr int64_t kRows = 4276;
inline constexpr int64_t kTextRows = 226;
inline constexpr int64_t kHeads = 30;
inline constexpr int64_t kHeadDim = 64;
inline constexpr int64_t kWidth = kHeads * kHeadDim;

inline void count_flops(benchmark::State& state, double flops) {
  state.counters["GFLOP"] =
      benchmark::Counter(flops / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}
// Of single numbers.
inline void count_exponentials(benchmark::State& state, double count) {
  state.counters["Gexp"] =
      benchmark::Counter(count / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}
// Of operands that are read and results that are written, once each.
inline void count_bytes(benchmark::State& state, double bytes) {
  state.counters["GB"] =
      benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// Both dtypes of a function (state, dtype).
#define COGVX_MICRO(function)                                                                  \
  BENCHMARK_CAPTURE(function, fp32, at::kFloat)->UseRealTime()->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(function, bf16, at::kBFloat16)->UseRealTime()->Unit(benchmark::kMillisecond)

}  // namespace cogvx::bench

#include <ATen/ops/zeros.h>

#include <array>
#include <vector>

#include "core/base/sha256.h"
#include "core/ops/cpu/by_type.h"
#include "tests/bench/micro_support.h"
#include "tests/bench/two_ranks.h"

// What this machine does of one thing alone: the limits that scripts/bench.sh --limits puts the
// other benchmarks beside.
namespace cogvx::bench {
namespace {

using namespace cpu;

// Far larger than a cache.
constexpr int64_t kCopyBytes = int64_t{256} << 20;

// Reads and writes.
void limit_memory(benchmark::State& state) {
  const at::Tensor from = at::zeros({kCopyBytes}, at::kByte);
  at::Tensor to = at::zeros({kCopyBytes}, at::kByte);
  for (auto iteration : state) {
    to.copy_(from);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2.0 * kCopyBytes);
}
BENCHMARK(limit_memory)->UseRealTime()->Unit(benchmark::kMillisecond);

// A tile of a linear layer of 2B, again and again: all of it stays in the cache.
void limit_matrix(benchmark::State& state, at::ScalarType dtype) {
  const Kernels& kernels = kernels_of(test::cpu_path());
  by_type(dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int64_t kTile = 64;
    std::vector<T> a(kTile * kWidth), b(kWidth * kTile);
    std::vector<float> c(kTile * kTile);
    std::array<const T*, kTile> rows;
    for (int64_t i = 0; i < kTile; ++i) rows[i] = a.data() + i * kWidth;
    for (auto iteration : state) {
      kernels.gemm(GemmCall<T>{.a_rows = rows.data(),
                               .a_offset = 0,
                               .b = b.data(),
                               .ldb = kTile,
                               .c = c.data(),
                               .ldc = kTile,
                               .m = kTile,
                               .n = kTile,
                               .k = kWidth,
                               .add = false});
      benchmark::ClobberMemory();
    }
    count_flops(state, 2.0 * kTile * kTile * static_cast<double>(kWidth));
  });
}
COGVX_MICRO(limit_matrix);

// The softmax of a tile of attention: an exponential, a maximum and a sum for each score.
void limit_exponential(benchmark::State& state, at::ScalarType dtype) {
  const Kernels& kernels = kernels_of(test::cpu_path());
  by_type(dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int64_t kQueries = 64, kKeys = 256;
    std::vector<float> scores(kQueries * kKeys, 0.25f), gathered(kQueries * kHeadDim);
    std::vector<T> probabilities(kQueries * kKeys);
    std::vector<float> maximum(kQueries, 1.0f), sum(kQueries);
    for (auto iteration : state) {
      kernels.softmax(SoftmaxCall<T>{.scores = scores.data(),
                                     .probabilities = probabilities.data(),
                                     .ld = kKeys,
                                     .rows = kQueries,
                                     .keys = kKeys,
                                     .scale = 0.125f,
                                     .maximum = maximum.data(),
                                     .sum = sum.data(),
                                     .gathered = gathered.data(),
                                     .width = kHeadDim});
      benchmark::ClobberMemory();
    }
    count_exponentials(state, kQueries * kKeys);
  });
}
COGVX_MICRO(limit_exponential);

// Both ranks send and receive what a layer's exchange moves in one direction, from and to one
// buffer: nothing is packed.
void limit_communication(benchmark::State& state) {
  constexpr int64_t kBytes = int64_t{24} << 20;
  const auto move = [](Group& group) {
    const at::Tensor send = at::zeros({kBytes}, at::kByte), recv = at::zeros({kBytes}, at::kByte);
    Splits to_other(2, 0), from_other(2, 0);
    to_other[1 - group.rank()] = from_other[1 - group.rank()] = kBytes;
    return [=, &group] { group.all_to_all(send, to_other, recv, from_other); };
  };
  run_two_ranks(state, move);
  count_bytes(state, kBytes);
}
BENCHMARK(limit_communication)->UseRealTime()->Unit(benchmark::kMillisecond);

// A checkpoint's weights are hashed as they are read.
void limit_hash(benchmark::State& state) {
  constexpr int64_t kBytes = int64_t{32} << 20;
  const at::Tensor bytes = at::zeros({kBytes}, at::kByte);
  for (auto iteration : state) benchmark::DoNotOptimize(sha256_hex(bytes.data_ptr(), kBytes));
  count_bytes(state, kBytes);
}
BENCHMARK(limit_hash)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cogvx::bench

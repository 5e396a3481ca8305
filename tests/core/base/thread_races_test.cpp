// What ThreadSanitizer is pointed at: the pool's hand-over of work, and operations whose units
// write to one tensor. Each is also a plain test of the result.
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "tests/support/cpu_path.h"

namespace cogvx {
namespace {

TEST(ThreadRaces, APoolUsedAgainAndAgainRunsEveryUnitOnce) {
  ThreadPool pool(4);
  for (int round = 0; round < 500; ++round) {
    // Plain ints: two runs of one unit, or a run() that returns early, are races here.
    std::vector<int> runs(static_cast<size_t>(round % 7));
    pool.run(round % 7, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
    for (int count : runs) ASSERT_EQ(count, 1);
  }
}

TEST(ThreadRaces, AFailingUnitLeavesNoWorkerBehind) {
  ThreadPool pool(4);
  for (int round = 0; round < 100; ++round) {
    // Freed as soon as run() has thrown: a worker still at it would write to freed memory.
    auto runs = std::make_unique<std::vector<int>>(64);
    EXPECT_THROW(pool.run(64,
                          [&](int64_t i) {
                            ++(*runs)[static_cast<size_t>(i)];
                            if (i == round % 64) throw std::runtime_error("stop");
                          }),
                 std::runtime_error);
  }
}

TEST(ThreadRaces, PoolsComeAndGo) {
  std::atomic<int> units = 0;
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(3);
    if (round % 2 == 0) pool.run(5, [&](int64_t) { ++units; });
  }
  EXPECT_EQ(units, 125);
}

TEST(ThreadRaces, UnitsOfAnOperationWriteApartInOneTensor) {
  ThreadPool one(1);
  ThreadPool three(3);
  CpuOps alone(one, test::cpu_path());
  CpuOps shared(three, test::cpu_path());
  const at::Tensor x_RK = at::randn({300, 96});
  const at::Tensor weight_NK = at::randn({160, 96});
  const at::Tensor bias_N = at::randn({160});
  const auto linear = [&](CpuOps& ops) {
    return ops.linear(x_RK, ops.pack_linear(weight_NK, bias_N), {.activation = Activation::kSilu});
  };
  const at::Tensor expected = linear(alone);
  for (int round = 0; round < 5; ++round) EXPECT_TRUE(at::equal(linear(shared), expected));
}

}  // namespace
}  // namespace cogvx

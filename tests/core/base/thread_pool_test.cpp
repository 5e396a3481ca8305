#include "core/base/thread_pool.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>

#include "core/base/errors.h"

namespace cogvx {
namespace {

TEST(ThreadPool, EveryUnitRunsOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
      pool.run(count, [&](int64_t unit) { ++runs.at(static_cast<size_t>(unit)); });
      for (const auto& times : runs) EXPECT_EQ(times, 1) << count << " units, " << threads;
    }
  }
}

TEST(ThreadPool, AnExceptionComesOutAndThePoolGoesOn) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    EXPECT_THROW(pool.run(100,
                          [](int64_t unit) {
                            if (unit == 7) throw DataError("unit 7");
                          }),
                 DataError);
    std::atomic<int> runs = 0;
    pool.run(100, [&](int64_t) { ++runs; });
    EXPECT_EQ(runs, 100);
  }
}

TEST(ThreadPool, ARunInsideAUnitRunsOnTheSpot) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> runs(6 * 5);
  pool.run(6, [&](int64_t outer) {
    const std::thread::id here = std::this_thread::get_id();
    pool.run(5, [&](int64_t inner) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      ++runs.at(static_cast<size_t>(outer * 5 + inner));
    });
  });
  for (const auto& times : runs) EXPECT_EQ(times, 1);
}

TEST(ThreadPool, AtenSeesOneThreadInTheCallerAndInEveryWorker) {
  at::set_num_threads(2);
  ASSERT_EQ(at::get_num_threads(), 2);
  { const ThreadPool alone(1); }
  EXPECT_EQ(at::get_num_threads(), 1);
  ThreadPool pool(3);
  EXPECT_EQ(at::get_num_threads(), 1);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  // Units wait for each other, so that every thread must take one.
  std::atomic<int> arrived = 0;
  pool.run(3, [&](int64_t) {
    EXPECT_EQ(at::get_num_threads(), 1);
    {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    }
    ++arrived;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 3 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  });
  EXPECT_EQ(seen.size(), 3U);
}

TEST(ThreadPool, LessThanOneThreadIsAUsageError) {
  EXPECT_THROW(ThreadPool(0), UsageError);
  EXPECT_THROW(ThreadPool(-2), UsageError);
}

}  // namespace
}  // namespace cogvx

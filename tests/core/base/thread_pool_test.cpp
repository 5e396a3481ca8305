#include "core/base/thread_pool.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>

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

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// The number behind a name in /proc/self/status.
int64_t status_number(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1));
  }
  return -1;
}
size_t mapped_bytes() { return static_cast<size_t>(status_number("VmSize")) * 1024; }
int running_threads() { return static_cast<int>(status_number("Threads")); }

// In a process of its own, whose address space has room for few stacks.
TEST(ThreadPoolDeathTest, ThreadsTheSystemHasNoRoomForAreAMemoryErrorAndThoseStartedEnd) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto ask_for_too_many = [] {
    const rlimit room{mapped_bytes() + (size_t{200} << 20), RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &room);
    try {
      ThreadPool pool(1024);
    } catch (const MemoryError& error) {
      std::fprintf(stderr, "%s\nthreads left: %d", error.what(), running_threads());
      std::_Exit(5);
    }
  };
  EXPECT_EXIT(ask_for_too_many(), testing::ExitedWithCode(5),
              "cannot start thread [0-9]+ of 1024: .*; ask for fewer threads\nthreads left: 1");
}
#endif

}  // namespace
}  // namespace cogvx

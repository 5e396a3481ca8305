#include "parallel/nccl_group.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "core/base/errors.h"
#include "parallel/device_group.h"
#include "tests/parallel/recording_backend.h"
#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

using namespace test;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

at::Tensor bytes(int64_t size) { return at::empty({size}, at::TensorOptions().dtype(at::kByte)); }

NcclOptions on_cpu() { return {.device = at::kCPU, .patience = 3s, .watch_every = 0ms}; }

// Rank 1 of 4 with a backend that moves nothing and a clock that only sleeps move on.
struct OneRank {
  FakeTime time;
  c10::intrusive_ptr<RecordingBackend> backend = c10::make_intrusive<RecordingBackend>(
      1, 4, RecordingBackend::Parts{.name = "sequence-0", .time = &time});
  NcclGroup group;

  OneRank() : group(backend, {"sequence-0", 1, 4}, options(time)) {}
  static NcclOptions options(FakeTime& time) {
    NcclOptions options = on_cpu();
    options.clock = time.clock();
    return options;
  }
  Transfer begin() {
    return group.begin_all_to_all(bytes(4), {1, 1, 1, 1}, bytes(4), {4, 0, 0, 0});
  }
  std::string failure_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const DistributedError& error) {
      return error.what();
    }
    return "none";
  }
};

TEST(NcclGroup, UnevenSplitsReachTheBackendAsTheyAreAndTheBytesArrive) {
  // splits[from][to], with a rank that sends nothing and one that receives nothing from others.
  const std::vector<Splits> sends = {{3, 0, 70}, {0, 0, 0}, {5, 0, 1}};
  run_ranks(3, [&](Group& mover) {
    const int rank = mover.rank();
    const auto backend = c10::make_intrusive<RecordingBackend>(
        rank, 3, RecordingBackend::Parts{.name = "all", .mover = &mover});
    NcclGroup group(backend, {"all", rank, 3}, on_cpu());
    Splits recv_splits;
    for (int from = 0; from < 3; ++from) recv_splits.push_back(sends[from][rank]);
    const int64_t sent = std::accumulate(sends[rank].begin(), sends[rank].end(), int64_t{0});
    const int64_t received = std::accumulate(recv_splits.begin(), recv_splits.end(), int64_t{0});
    const at::Tensor send = bytes(sent), recv = bytes(received);
    for (int64_t i = 0; i < sent; ++i)
      send.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(100 * rank + i);
    group.all_to_all(send, sends[rank], recv, recv_splits);
    EXPECT_EQ(backend->last_send_splits, sends[rank]);
    EXPECT_EQ(backend->last_recv_splits, recv_splits);
    int64_t at = 0;
    for (int from = 0; from < 3; ++from) {
      int64_t first = 0;
      for (int to = 0; to < rank; ++to) first += sends[from][to];
      for (int64_t i = 0; i < recv_splits[from]; ++i, ++at)
        ASSERT_EQ(recv.const_data_ptr<uint8_t>()[at], static_cast<uint8_t>(100 * from + first + i))
            << "rank " << rank << ", byte " << at;
    }
  });
}

TEST(NcclGroup, WaitingOrdersTheStreamAndNotTheHost) {
  OneRank one;
  one.backend->set_script({.lasts = 1h});
  Transfer transfer = one.begin();
  EXPECT_EQ(one.backend->waits(), 0);
  transfer.wait();
  one.group.broadcast(bytes(7), 2);
  EXPECT_EQ(one.backend->waits(), 2);
  EXPECT_EQ(one.time.sleeps(), 0);
}

TEST(NcclGroup, SettlingWaitsForAllThatWasBegun) {
  OneRank one;
  one.backend->set_script({.lasts = 1s});
  one.begin().wait();
  one.time.pass(500ms);
  one.begin().wait();
  const auto start = one.time.now();
  one.group.settle();
  EXPECT_EQ(one.time.now() - start, 1s);
}

TEST(NcclGroup, AnOperationThatDoesNotEndIsAbortedAndNamed) {
  OneRank one;
  one.backend->set_script({.lasts = 1s});
  one.begin().wait();
  one.backend->set_script({.lasts = 1h});
  one.group.broadcast(bytes(7), 2);
  const auto start = one.time.now();
  EXPECT_THAT(one.failure_of([&] { one.group.settle(); }),
              AllOf(HasSubstr("group 'sequence-0', rank 1 of 4: broadcast (operation 2) has not "
                              "ended after 3 s, wanted"),
                    HasSubstr("--dist-timeout"), Not(HasSubstr("\n"))));
  EXPECT_GT(one.time.now() - start, 4s);
  EXPECT_LT(one.time.now() - start, 4100ms);
  EXPECT_EQ(one.backend->aborts(), 1);
}

TEST(NcclGroup, AGroupThatFailedTakesNoMoreCalls) {
  OneRank one;
  one.backend->set_script({.lasts = 1h});
  Transfer early = one.begin();
  EXPECT_THROW(one.group.settle(), DistributedError);
  one.backend->set_script({.lasts = 0s});
  one.backend->last_send_splits.clear();
  const std::string first = one.failure_of([&] { early.wait(); });
  EXPECT_THAT(first, HasSubstr("all-to-all (operation 1)"));
  EXPECT_EQ(one.failure_of([&] { one.begin(); }), first);
  EXPECT_EQ(one.failure_of([&] { one.group.broadcast(bytes(1), 0); }), first);
  EXPECT_EQ(one.failure_of([&] { one.group.barrier(); }), first);
  EXPECT_EQ(one.failure_of([&] { one.group.settle(); }), first);
  EXPECT_TRUE(one.backend->last_send_splits.empty());
  EXPECT_EQ(one.backend->aborts(), 1);
}

TEST(NcclGroup, PatienceStartsAnewWithEveryOperationThatEnds) {
  OneRank one;
  for (int i = 1; i <= 5; ++i) {
    one.backend->set_script({.lasts = 2s * i});
    one.begin().wait();
  }
  one.group.settle();
  EXPECT_EQ(one.time.now().time_since_epoch(), 10s);
}

TEST(NcclGroup, TimeBetweenOperationsIsComputingAndCostsNoPatience) {
  OneRank one;
  one.backend->set_script({.lasts = 2s});
  one.begin().wait();
  one.group.settle();
  one.time.pass(1h);
  one.begin().wait();
  EXPECT_EQ(one.failure_of([&] { one.group.settle(); }), "none");
}

TEST(NcclGroup, AProcessThatWasStoppedItselfLooksAgainBeforeItJudges) {
  OneRank one;
  one.backend->set_script({.lasts = 1h + 1s});
  one.begin().wait();
  one.time.oversleep(1h);
  EXPECT_EQ(one.failure_of([&] { one.group.settle(); }), "none");
}

TEST(NcclGroup, WhatTheBackendThrowsBecomesADistributedError) {
  const auto failure = [](const Script& script) {
    OneRank one;
    one.backend->set_script(script);
    const std::string text = one.failure_of([&] {
      one.begin().wait();
      one.group.settle();
    });
    EXPECT_EQ(one.backend->aborts(), 1) << text;
    return text;
  };
  const std::string place = "group 'sequence-0', rank 1 of 4: all-to-all (operation 1) ";
  EXPECT_EQ(failure({.begin_error = "no link\ntrace"}), place + "cannot begin: no link");
  EXPECT_EQ(failure({.wait_error = "peer left\ntrace"}), place + "failed: peer left");
  EXPECT_EQ(failure({.lasts = 1s, .work_error = "remote\ntrace"}), place + "failed: remote");
}

TEST(NcclGroup, ItsOwnThreadEndsItWhileTheHostWaitsElsewhere) {
  // Every look at the clock takes a second.
  const auto seconds = std::make_shared<std::atomic<int>>(0);
  NcclOptions options = on_cpu();
  options.watch_every = 1ms;
  options.clock.now = [seconds] {
    return FakeTime::Clock::time_point(std::chrono::seconds(++*seconds));
  };
  FakeTime stands_still;
  const auto backend = c10::make_intrusive<RecordingBackend>(
      0, 2, RecordingBackend::Parts{.name = "world", .time = &stands_still});
  backend->set_script({.lasts = 1h});
  NcclGroup group(backend, {"world", 0, 2}, options);
  group.broadcast(bytes(1), 0);
  // The host is in a copy from the device now: it calls nothing.
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (backend->aborts() == 0 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(backend->aborts(), 1);
  EXPECT_THROW(group.settle(), DistributedError);
}

TEST(NcclGroup, ABarrierWaitsForEveryRank) {
  constexpr int kRanks = 4;
  std::atomic<int> arrived{0};
  run_ranks(kRanks, [&](Group& mover) {
    const auto backend = c10::make_intrusive<RecordingBackend>(
        mover.rank(), kRanks, RecordingBackend::Parts{.name = "all", .mover = &mover});
    NcclGroup group(backend, {"all", mover.rank(), kRanks}, on_cpu());
    ++arrived;
    group.barrier();
    EXPECT_EQ(arrived, kRanks);
    EXPECT_EQ(backend->last_send_splits, Splits(kRanks, 1));
  });
}

TEST(NcclGroup, ATensorOfAnotherDeviceIsRefused) {
  OneRank one;
  const at::Tensor other = at::empty({4}, at::TensorOptions().dtype(at::kByte).device(at::kMeta));
  EXPECT_THROW(one.group.broadcast(other, 0), std::logic_error);
  EXPECT_THROW(one.group.begin_all_to_all(bytes(4), {1, 1, 1, 1}, other, {4, 0, 0, 0}),
               std::logic_error);
}

TEST(NcclGroup, OneRankIsNoGroupOfItsOwn) {
  EXPECT_THROW(NcclGroup({}, {"world", 0, 1}, on_cpu()), std::logic_error);
}

// Writes down what reaches it.
class NamedGroup final : public Group {
 public:
  NamedGroup(std::string name, std::vector<std::string>& calls, int size = 2)
      : name_(std::move(name)), calls_(calls), size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  Transfer begin_all_to_all(const at::Tensor&, const Splits&, const at::Tensor&,
                            const Splits&) override {
    calls_.push_back(name_ + " all-to-all");
    return Transfer([] {});
  }
  void broadcast(const at::Tensor&, int) override { calls_.push_back(name_ + " broadcast"); }
  void barrier() override { calls_.push_back(name_ + " barrier"); }
  void settle() override { calls_.push_back(name_ + " settle"); }

 private:
  std::string name_;
  std::vector<std::string>& calls_;
  int size_;
};

TEST(DeviceGroup, ATensorsDeviceChoosesTheWay) {
  std::vector<std::string> calls;
  DeviceGroup group(std::make_unique<NamedGroup>("host", calls),
                    std::make_unique<NamedGroup>("device", calls));
  const at::Tensor host = bytes(2);
  const at::Tensor device = at::empty({2}, host.options().device(at::kMeta));
  group.all_to_all(host, {1, 1}, host, {1, 1});
  group.all_to_all(device, {1, 1}, device, {1, 1});
  group.broadcast(device, 0);
  group.broadcast(host, 0);
  group.settle();
  group.barrier();
  EXPECT_THAT(calls, testing::ElementsAre("host all-to-all", "device all-to-all",
                                          "device broadcast", "host broadcast", "device settle",
                                          "device settle", "host barrier"));
  EXPECT_THROW(group.begin_all_to_all(host, {1, 1}, device, {1, 1}), std::logic_error);
}

TEST(DeviceGroup, BothHalvesAreTheSameRanks) {
  std::vector<std::string> calls;
  EXPECT_THROW(DeviceGroup(std::make_unique<NamedGroup>("host", calls),
                           std::make_unique<NamedGroup>("device", calls, 3)),
               std::logic_error);
}

}  // namespace
}  // namespace cogvx

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <semaphore>
#include <thread>

#include "core/base/errors.h"
#include "parallel/rendezvous.h"
#include "tests/support/free_port.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using std::chrono::seconds;

at::Tensor bytes(int64_t count, int value = 0) {
  return at::full({count}, value, at::TensorOptions().dtype(at::kByte));
}

// Ranks as threads; to Gloo they are processes that talk over the loopback device.
void run_gloo_ranks(int size, const std::function<void(std::unique_ptr<Group>)>& rank_main) {
  // As the program does: Gloo writes to sockets whose other end may have gone.
  std::signal(SIGPIPE, SIG_IGN);
  const test::TemporaryFolder folder;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      const Rendezvous meeting = Rendezvous::by_file(folder / "meeting", size, seconds(20));
      rank_main(meeting.make_gloo_group({"all", rank, size}));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(GlooGroup, UnevenAllToAllBringsEachRankItsBytesInSenderOrder) {
  for (const int size : {1, 2, 3, 5}) {
    run_gloo_ranks(size, [&](std::unique_ptr<Group> group) {
      Splits send_splits, recv_splits;
      std::vector<uint8_t> out, in;
      for (int peer = 0; peer < size; ++peer) {
        // Rank 0 sends nothing to itself.
        send_splits.push_back(group->rank() + 2 * peer);
        recv_splits.push_back(peer + 2 * group->rank());
        out.insert(out.end(), send_splits.back(), static_cast<uint8_t>(10 * group->rank() + peer));
        in.insert(in.end(), recv_splits.back(), static_cast<uint8_t>(10 * peer + group->rank()));
      }
      at::Tensor send = bytes(std::ssize(out)), wanted = bytes(std::ssize(in));
      std::copy(out.begin(), out.end(), send.mutable_data_ptr<uint8_t>());
      std::copy(in.begin(), in.end(), wanted.mutable_data_ptr<uint8_t>());
      const at::Tensor recv = bytes(wanted.numel());
      group->all_to_all(send, send_splits, recv, recv_splits);
      EXPECT_TRUE(at::equal(recv, wanted)) << "rank " << group->rank() << " of " << size;
    });
  }
}

TEST(GlooGroup, SeveralTransfersMayBeUnderWay) {
  run_gloo_ranks(3, [](std::unique_ptr<Group> group) {
    std::vector<at::Tensor> received;
    std::vector<Transfer> transfers;
    const Splits splits(3, 1000);
    for (int i = 0; i < 4; ++i) {
      received.push_back(bytes(3000));
      transfers.push_back(group->begin_all_to_all(bytes(3000, 10 * i + group->rank()), splits,
                                                  received.back(), splits));
    }
    for (int i = 3; i >= 0; --i) {
      transfers[i].wait();
      for (int peer = 0; peer < 3; ++peer) {
        EXPECT_TRUE(
            at::equal(received[i].narrow(0, 1000 * peer, 1000), bytes(1000, 10 * i + peer)));
      }
    }
  });
}

// Looks for the last byte without waiting for a transfer.
bool arrives(const at::Tensor& recv) {
  std::atomic_ref<uint8_t> last(recv.mutable_data_ptr<uint8_t>()[recv.numel() - 1]);
  const auto deadline = std::chrono::steady_clock::now() + seconds(10);
  while (last == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  return last != 0;
}

TEST(GlooGroup, ATransferIsBegunBeforeTheOthersComeAndMovesWhileNobodyWaits) {
  constexpr int64_t kBytes = 8 << 20;
  std::binary_semaphore begun(0);
  run_gloo_ranks(2, [&](std::unique_ptr<Group> group) {
    if (group->rank() == 1) {
      EXPECT_TRUE(begun.try_acquire_for(seconds(10))) << "rank 0's begin waits for rank 1's";
    }
    const at::Tensor recv = bytes(2 * kBytes);
    const Splits splits(2, kBytes);
    Transfer transfer = group->begin_all_to_all(bytes(2 * kBytes, 1), splits, recv, splits);
    if (group->rank() == 0) begun.release();
    EXPECT_TRUE(arrives(recv)) << "rank " << group->rank();
    transfer.wait();
  });
}

TEST(GlooGroup, GathersAndBroadcastsMayBeUnevenAndEmpty) {
  run_gloo_ranks(3, [](std::unique_ptr<Group> group) {
    const Splits splits = {3, 0, 5};
    const int rank = group->rank();
    const at::Tensor own = bytes(splits[rank], rank + 1), all = bytes(8);
    group->all_gather_uneven(own, splits, all);
    EXPECT_TRUE(at::equal(all.narrow(0, 0, 3), bytes(3, 1)));
    EXPECT_TRUE(at::equal(all.narrow(0, 3, 5), bytes(5, 3)));
    const at::Tensor at_root = bytes(rank == 1 ? 8 : 0);
    group->gather_uneven(own, splits, at_root, 1);
    if (rank == 1) {
      EXPECT_TRUE(at::equal(at_root, all));
    }
    group->broadcast(bytes(0), 2);
    group->barrier();
  });
}

TEST(GlooGroup, TwoGroupsOfOneRunDoNotMeet) {
  const test::TemporaryFolder folder;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 4; ++rank) {
    threads.emplace_back([&, rank] {
      const Rendezvous meeting = Rendezvous::by_file(folder / "meeting", 4, seconds(20));
      const auto half = meeting.make_gloo_group({"half" + std::to_string(rank / 2), rank % 2, 2});
      const auto all = meeting.make_gloo_group({"all", rank, 4});
      const at::Tensor word = bytes(1, rank);
      half->broadcast(word, 1);
      EXPECT_EQ(word.item<int>(), rank / 2 * 2 + 1);
      all->broadcast(word, 2);
      EXPECT_EQ(word.item<int>(), 3);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(GlooGroup, ARankThatGoesEndsTheWaitOfTheOthersSoon) {
  run_gloo_ranks(3, [](std::unique_ptr<Group> group) {
    // It goes only when all have come.
    if (group->rank() == 1) return group->barrier();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(
        {
          group->barrier();
          const Splits splits(3, 10);
          for (int i = 0; i < 100; ++i) group->all_to_all(bytes(30), splits, bytes(30), splits);
        },
        DistributedError);
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(5));
  });
}

TEST(GlooGroup, ARankThatNeverComesIsMissedAfterThePatience) {
  const test::TemporaryFolder folder;
  const Rendezvous meeting = Rendezvous::by_file(folder / "meeting", 2, seconds(1));
  EXPECT_THROW(meeting.make_gloo_group({"all", 0, 2}), DistributedError);
}

TEST(GlooGroup, RanksMeetAtAnAddressTooAndATakenPortIsAnError) {
  std::vector<std::thread> threads;
  const Rendezvous::Address address{"127.0.0.1", test::free_port()};
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      const Rendezvous meeting = Rendezvous::at_address(
          address, {.rank = rank, .world = 2, .listens = rank == 0, .patience = seconds(20)});
      const auto group = meeting.make_gloo_group({"all", rank, 2});
      const at::Tensor word = bytes(1, rank + 7);
      group->broadcast(word, 0);
      EXPECT_EQ(word.item<int>(), 7);
      if (rank == 0) {
        EXPECT_THROW(
            Rendezvous::at_address(address, {.world = 2, .listens = true, .patience = seconds(1)}),
            DistributedError);
      }
      group->barrier();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cogvx

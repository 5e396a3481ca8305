#include "parallel/group.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

using test::run_ranks;

at::Tensor bytes(int64_t count, int value = 0) {
  return at::full({count}, value, at::TensorOptions().dtype(at::kByte));
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "accepted";
}

// Rank `from` sends `from + 2 * to` bytes of value 10 * from + to to rank `to`.
struct Pattern {
  at::Tensor send, recv, wanted;
  Splits send_splits, recv_splits;
};
Pattern pattern(int rank, int size) {
  Pattern p{bytes(0), bytes(0), bytes(0), {}, {}};
  std::vector<uint8_t> out, in;
  for (int peer = 0; peer < size; ++peer) {
    p.send_splits.push_back(rank + 2 * peer);
    p.recv_splits.push_back(peer + 2 * rank);
    out.insert(out.end(), rank + 2 * peer, static_cast<uint8_t>(10 * rank + peer));
    in.insert(in.end(), peer + 2 * rank, static_cast<uint8_t>(10 * peer + rank));
  }
  p.send = at::empty({std::ssize(out)}, at::TensorOptions().dtype(at::kByte));
  p.wanted = at::empty({std::ssize(in)}, at::TensorOptions().dtype(at::kByte));
  std::copy(out.begin(), out.end(), p.send.mutable_data_ptr<uint8_t>());
  std::copy(in.begin(), in.end(), p.wanted.mutable_data_ptr<uint8_t>());
  p.recv = bytes(p.wanted.numel());
  return p;
}

TEST(Group, UnevenAllToAllBringsEachRankItsBytesInSenderOrder) {
  for (int size : {1, 2, 3, 5, 8}) {
    run_ranks(size, [&](Group& group) {
      const Pattern p = pattern(group.rank(), size);
      group.all_to_all(p.send, p.send_splits, p.recv, p.recv_splits);
      EXPECT_TRUE(at::equal(p.recv, p.wanted)) << "rank " << group.rank();
    });
  }
}

TEST(Group, SeveralTransfersMayBeUnderWayAndBeAwaitedInAnyOrder) {
  run_ranks(3, [](Group& group) {
    const Pattern a = pattern(group.rank(), 3);
    const Pattern b = pattern(group.rank(), 3);
    Transfer first = group.begin_all_to_all(a.send, a.send_splits, a.recv, a.recv_splits);
    Transfer second = group.begin_all_to_all(b.send, b.send_splits, b.recv, b.recv_splits);
    if (group.rank() == 1) {
      second.wait();
      first.wait();
    } else {
      first.wait();
      second.wait();
    }
    EXPECT_TRUE(at::equal(a.recv, a.wanted));
    EXPECT_TRUE(at::equal(b.recv, b.wanted));
  });
}

TEST(Group, GathersAreUnevenAndMayBeEmpty) {
  const Splits splits{3, 0, 1, 5};
  const at::Tensor wanted = at::arange(9, at::TensorOptions().dtype(at::kByte));
  run_ranks(4, [&](Group& group) {
    const int64_t offset[] = {0, 3, 3, 4};
    const at::Tensor own = wanted.narrow(0, offset[group.rank()], splits[group.rank()]);
    const at::Tensor all = bytes(9);
    group.all_gather_uneven(own, splits, all);
    EXPECT_TRUE(at::equal(all, wanted));
    const at::Tensor on_root = bytes(group.rank() == 2 ? 9 : 0);
    group.gather_uneven(own, splits, on_root, 2);
    if (group.rank() == 2) {
      EXPECT_TRUE(at::equal(on_root, wanted));
    }
  });
}

TEST(Group, BroadcastGivesEveryoneTheRootsBytes) {
  run_ranks(5, [](Group& group) {
    const at::Tensor tensor = bytes(7, group.rank());
    group.broadcast(tensor, 3);
    EXPECT_TRUE(at::equal(tensor, bytes(7, 3)));
  });
}

TEST(Group, NobodyPassesABarrierBeforeAllHaveReachedIt) {
  std::atomic<int> arrived = 0;
  run_ranks(6, [&](Group& group) {
    for (int round = 1; round <= 50; ++round) {
      ++arrived;
      group.barrier();
      EXPECT_GE(arrived, 6 * round);
      group.barrier();
    }
  });
}

TEST(SingleGroup, IsTheIdentity) {
  SingleGroup group;
  const at::Tensor send = at::arange(5, at::TensorOptions().dtype(at::kByte));
  const at::Tensor recv = bytes(5), gathered = bytes(5), rooted = bytes(5);
  group.all_to_all(send, {5}, recv, {5});
  group.all_gather_uneven(send, {5}, gathered);
  group.gather_uneven(send, {5}, rooted, 0);
  group.broadcast(recv, 0);
  group.barrier();
  EXPECT_TRUE(at::equal(recv, send));
  EXPECT_TRUE(at::equal(gathered, send));
  EXPECT_TRUE(at::equal(rooted, send));
}

TEST(Group, WrongArgumentsAreNamedWithWhatWasFoundAndWanted) {
  SingleGroup group;
  EXPECT_EQ(refusal([&] { group.all_to_all(bytes(5), {4}, bytes(5), {5}); }),
            "group: sum of send splits is 4, wanted 5");
  EXPECT_EQ(refusal([&] {
              group.all_to_all(bytes(5), {5}, bytes(5), {2, 3});
            }),
            "group: number of receive splits is 2, wanted 1");
  EXPECT_EQ(refusal([&] { group.all_to_all(bytes(5), {5}, bytes(4), {4}); }),
            "group: size of what rank 0 receives from rank 0 is 4, wanted 5");
  EXPECT_EQ(refusal([&] {
              group.broadcast(bytes(6).view({2, 3}), 0);
            }),
            "group: what a broadcast moves is a tensor of Byte [2,3], wanted one contiguous row of "
            "bytes");
  EXPECT_EQ(refusal([&] { group.broadcast(bytes(6), 1); }),
            "group: a broadcast's root is 1, wanted 0 to 0");
  EXPECT_EQ(refusal([&] { Transfer().wait(); }), "group: wait without a transfer that was begun");
}

TEST(ThreadGroup, ARankThatThrowsLeavesNobodyWaiting) {
  std::atomic<int> told = 0;
  const auto rank_main = [&](Group& group) {
    group.barrier();
    if (group.rank() == 2) throw std::invalid_argument("broken on purpose");
    try {
      group.barrier();
    } catch (const test::PeerGone&) {
      ++told;
      throw;
    }
  };
  EXPECT_THROW(run_ranks(4, rank_main), std::invalid_argument);
  EXPECT_EQ(told, 3);
}

TEST(ThreadGroup, ARankThatGoesHomeEarlyLeavesNobodyWaiting) {
  const auto rank_main = [](Group& group) {
    if (group.rank() != 0) group.barrier();
  };
  EXPECT_THROW(run_ranks(3, rank_main), test::PeerGone);
}

TEST(ThreadGroup, DifferentOperationsOrSizesAreSeen) {
  EXPECT_THROW(run_ranks(2,
                         [](Group& group) {
                           if (group.rank() == 0) {
                             group.barrier();
                           } else {
                             group.broadcast(bytes(1), 0);
                           }
                         }),
               std::logic_error);
  EXPECT_THROW(run_ranks(2,
                         [](Group& group) {
                           const int64_t size = 1 + group.rank();
                           group.broadcast(bytes(size), 0);
                         }),
               std::logic_error);
}

TEST(ThreadGroup, ReceivedBytesAreNotThereBeforeTheWait) {
  run_ranks(2, [](Group& group) {
    const at::Tensor send = bytes(2, 1), recv = bytes(2);
    Transfer transfer = group.begin_all_to_all(send, {1, 1}, recv, {1, 1});
    EXPECT_TRUE(at::equal(recv, bytes(2, 0xA5)));
    group.barrier();  // nobody waits before everyone has looked
    transfer.wait();
    EXPECT_TRUE(at::equal(recv, bytes(2, 1)));
  });
}

}  // namespace
}  // namespace cogvx

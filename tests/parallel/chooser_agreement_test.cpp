// What the chooser takes for the calls of every number of ranks is what ranks are dealt, and ranks
// that choose differently say so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <atomic>
#include <set>

#include "core/base/errors.h"
#include "core/ops/chooser.h"
#include "parallel/agreement.h"
#include "parallel/ownership.h"
#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

using namespace test;

TEST(DistinctCalls, AreThoseOfTheRowsThatRanksAreDealt) {
  struct Case {
    int64_t rows;
    RowRange range;
  };
  for (const auto& [rows, range] : {Case{17776, {0, 17776}}, Case{17776, {226, 17776}},
                                    Case{17776, {0, 226}}, Case{1226, {0, 1226}}, Case{64, {0, 64}},
                                    Case{65, {0, 65}}, Case{90, {60, 80}}, Case{20, {8, 20}}}) {
    std::set<std::pair<int64_t, int64_t>> wanted, found;
    // More ranks than blocks, too.
    for (int ranks = 1; ranks <= ceil_div(rows, kBlockRows) + 3; ++ranks) {
      for (const RowRange& owned : deal_rows(rows, ranks)) {
        const RowRange call = intersect(owned, range);
        if (call.size() > 0) wanted.insert({call.begin % kBlockRows, call.size()});
      }
    }
    for (const RowRange& call : distinct_calls(rows, range))
      EXPECT_TRUE(found.insert({call.begin % kBlockRows, call.size()}).second);
    EXPECT_EQ(found, wanted) << rows << " rows, from " << range.begin;
  }
}

TEST(ChooseRows, RanksThatChooseDifferentlyAllSaySo) {
  std::atomic<int> said{0};
  run_ranks(3, [&](Group& group) {
    const ProbeTools tools{
        .reserve =
            [](int64_t bytes) { return at::empty({bytes}, at::TensorOptions().dtype(at::kByte)); },
        .agree = [&](const std::string& what,
                     uint64_t value) { check_agreement(group, what, value); }};
    const RowLayer layer{.name = "qkv", .rows = 130, .range = {0, 130}, .in = 2, .out = 2};
    const auto choose = [&](const std::string& id) {
      choose_rows(
          layer,
          [&](int64_t) -> RowKernel {
            return {.id = id, .run = [](const RowCall& call) { call.y_RN.copy_(call.x_RK); }};
          },
          tools);
    };
    choose("same");
    try {
      choose(group.rank() == 2 ? "other" : "same");
    } catch (const DistributedError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("the kernel of qkv (2 to 2, Float, rows 0 to "
                                                   "130 of 130) differs between processes"));
      ++said;
    }
  });
  EXPECT_EQ(said, 3);
}

}  // namespace
}  // namespace cogvx

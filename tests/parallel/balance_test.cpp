// How evenly ranks share the work of a whole pass of the real models, from pure functions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

#include "core/pipeline/flop_count.h"
#include "parallel/ownership.h"

namespace cogvx {
namespace {

// 49 frames of 720x480.
Request full_size() {
  Request request;
  request.width = 720;
  request.height = 480;
  request.num_frames = 49;
  request.max_text_tokens = 226;
  return request;
}

Checkpoint with_heads(int64_t heads) {
  Checkpoint checkpoint;
  checkpoint.transformer.num_attention_heads = heads;
  return checkpoint;
}

// FLOP of each rank.
std::vector<int64_t> work_of(const Checkpoint& checkpoint, int ranks, HeadSplit split) {
  const Request request = full_size();
  const int64_t rows = joint_rows(request, checkpoint);
  EXPECT_EQ(rows, 17776);
  const auto units = deal_units(checkpoint.transformer.num_attention_heads,
                                ceil_div(rows, kBlockRows), ranks, split);
  std::vector<int64_t> work;
  for (int rank = 0; rank < ranks; ++rank) {
    const PassShare share{deal_rows(rows, ranks)[rank], common_rows(units[rank], {0, rows})};
    work.push_back(transformer_flops(request, checkpoint, share).total());
  }
  return work;
}

double largest_by_mean(const std::vector<int64_t>& work) {
  const double sum = static_cast<double>(std::accumulate(work.begin(), work.end(), int64_t{0}));
  return static_cast<double>(*std::ranges::max_element(work)) * static_cast<double>(work.size()) /
         sum;
}

class BalanceOf : public testing::TestWithParam<int64_t> {};

TEST_P(BalanceOf, TheBusiestRankHasAtMostTwoPercentMoreThanTheMean) {
  const Checkpoint checkpoint = with_heads(GetParam());
  for (int ranks = 1; ranks <= 16; ++ranks) {
    const double split = largest_by_mean(work_of(checkpoint, ranks, HeadSplit::kWhereItPays));
    const double whole = largest_by_mean(work_of(checkpoint, ranks, HeadSplit::kNever));
    std::printf("%ld heads on %2d ranks: the largest has %.4f of the mean, with whole heads %.4f\n",
                GetParam(), ranks, split, whole);
    EXPECT_LE(split, 1.02) << ranks << " ranks";
    EXPECT_LE(split, whole) << ranks << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, BalanceOf, testing::Values(30, 48));

TEST(Balance, WithWholeHeadsIsWhatSplittingIsFor) {
  const Checkpoint checkpoint = with_heads(30);
  EXPECT_GT(largest_by_mean(work_of(checkpoint, 7, HeadSplit::kNever)), 1.08);
  EXPECT_GT(largest_by_mean(work_of(checkpoint, 8, HeadSplit::kNever)), 1.04);
}

}  // namespace
}  // namespace cogvx

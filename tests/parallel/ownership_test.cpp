#include "parallel/ownership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

namespace cogvx {
namespace {

int64_t units_in(const std::vector<AttentionRun>& runs) {
  int64_t units = 0;
  for (const AttentionRun& run : runs) units += run.tile_end - run.tile_begin;
  return units;
}

std::vector<int64_t> loads(const std::vector<int64_t>& areas, const std::vector<int>& owner,
                           int ranks) {
  std::vector<int64_t> load(ranks, 0);
  for (size_t tile = 0; tile < areas.size(); ++tile) load.at(owner[tile]) += areas[tile];
  return load;
}

TEST(DealRows, EveryRowHasOneOwnerAndCutsLieOnBlocks) {
  for (int64_t rows : {0, 1, 3, 63, 64, 65, 128, 129, 577, 640, 1000, 17776}) {
    for (int ranks : {1, 2, 3, 4, 5, 7, 8, 16, 300}) {
      const std::vector<RowRange> dealt = deal_rows(rows, ranks);
      ASSERT_EQ(std::ssize(dealt), ranks);
      int64_t at = 0, most = 0, least = rows;
      for (const RowRange& own : dealt) {
        EXPECT_EQ(own.begin, at);
        EXPECT_GE(own.size(), 0);
        EXPECT_TRUE(own.end % kBlockRows == 0 || own.end == rows);
        at = own.end;
        most = std::max(most, ceil_div(own.size(), kBlockRows));
        least = std::min(least, ceil_div(own.size(), kBlockRows));
      }
      EXPECT_EQ(at, rows);
      if (rows > 0) {
        EXPECT_LE(most - least, 1) << rows << " rows on " << ranks;
      }
    }
  }
}

TEST(DealRows, TheLastBlockStaysShortInsteadOfBeingPadded) {
  EXPECT_EQ(deal_rows(129, 2), (std::vector<RowRange>{{0, 128}, {128, 129}}));
  EXPECT_EQ(deal_rows(65, 4), (std::vector<RowRange>{{0, 64}, {64, 65}, {65, 65}, {65, 65}}));
}

TEST(DealUnits, EveryHeadAndTileHasOneOwner) {
  for (int64_t heads : {1, 2, 3, 5, 7, 8, 30, 48}) {
    for (int64_t tiles : {1, 2, 3, 5, 10, 278}) {
      for (int ranks : {1, 2, 3, 4, 5, 8, 16, 31, 64}) {
        std::vector<int> owners(heads * tiles, 0);
        int64_t at = 0;
        for (const auto& runs : deal_units(heads, tiles, ranks)) {
          for (const AttentionRun& run : runs) {
            EXPECT_EQ(run.head * tiles + run.tile_begin, at) << "not head-major or not contiguous";
            EXPECT_LT(run.tile_begin, run.tile_end);
            EXPECT_LE(run.tile_end, tiles);
            for (int64_t tile = run.tile_begin; tile < run.tile_end; ++tile)
              ++owners.at(run.head * tiles + tile);
            at = run.head * tiles + run.tile_end;
          }
        }
        EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), heads * tiles)
            << heads << " heads x " << tiles << " tiles on " << ranks;
      }
    }
  }
}

bool whole_heads(const std::vector<std::vector<AttentionRun>>& dealt, int64_t tiles) {
  return std::ranges::all_of(dealt, [&](const std::vector<AttentionRun>& runs) {
    return std::ranges::all_of(runs, [&](const AttentionRun& run) {
      return run.tile_begin == 0 && run.tile_end == tiles;
    });
  });
}

TEST(DealUnits, HeadsStayWholeWhereRanksDivideThem) {
  for (int ranks : {1, 2, 3, 5, 6, 10, 15, 30}) {
    const auto dealt = deal_units(30, 278, ranks);
    EXPECT_TRUE(whole_heads(dealt, 278)) << ranks << " ranks";
    for (const auto& runs : dealt) EXPECT_EQ(std::ssize(runs), 30 / ranks);
  }
}

TEST(DealUnits, HeadsAreSplitWhereThatSparesTheBusiestRankEnough) {
  for (int ranks : {4, 7, 8}) {
    const auto dealt = deal_units(30, 278, ranks);
    EXPECT_FALSE(whole_heads(dealt, 278)) << ranks << " ranks";
    for (const auto& runs : dealt) EXPECT_LE(units_in(runs), ceil_div(int64_t{30} * 278, ranks));
  }
  // Three heads on two ranks: half a head is spared.
  EXPECT_TRUE(whole_heads(deal_units(3, 2 * kTilesWorthASplit - 2, 2), 2 * kTilesWorthASplit - 2));
  EXPECT_FALSE(whole_heads(deal_units(3, 2 * kTilesWorthASplit, 2), 2 * kTilesWorthASplit));
}

TEST(DealUnits, GpusKeepWholeHeads) {
  EXPECT_EQ(head_split(at::kCUDA), HeadSplit::kNever);
  std::vector<int64_t> heads;
  for (const auto& runs : deal_units(30, 278, 8, HeadSplit::kNever)) {
    heads.push_back(std::ssize(runs));
    EXPECT_TRUE(whole_heads({runs}, 278));
  }
  EXPECT_EQ(heads, (std::vector<int64_t>{4, 4, 4, 4, 4, 4, 3, 3}));
}

TEST(DealUnits, FewerHeadsThanRanksAreSplitSoThatEveryRankHasWork) {
  using Runs = std::vector<AttentionRun>;
  EXPECT_EQ(deal_units(3, 3, 4),
            (std::vector<Runs>{{{0, 0, 3}}, {{1, 0, 2}}, {{1, 2, 3}, {2, 0, 1}}, {{2, 1, 3}}}));
  for (int ranks : {4, 5, 7, 9}) {
    for (const auto& runs : deal_units(3, 3, ranks)) EXPECT_GE(units_in(runs), 1);
  }
}

TEST(DealUnits, HeadsThatAreNotSplitLeaveRanksWithout) {
  using Runs = std::vector<AttentionRun>;
  EXPECT_EQ(deal_units(3, 3, 5, HeadSplit::kNever),
            (std::vector<Runs>{{{0, 0, 3}}, {{1, 0, 3}}, {{2, 0, 3}}, {}, {}}));
}

TEST(DealUnits, MoreRanksThanUnitsLeaveSomeWithNothing) {
  const auto dealt = deal_units(1, 2, 4);
  EXPECT_EQ(units_in(dealt[0]) + units_in(dealt[1]), 2);
  EXPECT_TRUE(dealt[2].empty());
  EXPECT_TRUE(dealt[3].empty());
}

TEST(DealTiles, EveryTileHasOneOwnerAndLoadsDifferByLessThanTheLargestTile) {
  const std::vector<std::vector<int64_t>> lists = {
      {}, {7}, {5, 5, 5, 5, 5, 5, 5, 5, 5}, {1, 9, 3, 7, 5, 2, 8}, {100, 1, 1, 1, 1, 1, 1}};
  for (const auto& areas : lists) {
    for (int ranks = 1; ranks <= 8; ++ranks) {
      const std::vector<int> owner = deal_tiles(areas, ranks);
      ASSERT_EQ(owner.size(), areas.size());
      const std::vector<int64_t> load = loads(areas, owner, ranks);
      const auto [least, most] = std::minmax_element(load.begin(), load.end());
      const int64_t largest = areas.empty() ? 0 : *std::max_element(areas.begin(), areas.end());
      EXPECT_LE(*most - *least, largest);
    }
  }
}

TEST(DealTiles, LargestGoFirst) {
  // In list order rank 0 would get 2 + 2 + 6.
  EXPECT_EQ(loads({2, 2, 2, 6}, deal_tiles(std::vector<int64_t>{2, 2, 2, 6}, 2), 2),
            (std::vector<int64_t>{6, 6}));
}

TEST(DealTiles, NineTilesOf480x720OnEightRanksGiveTheSpeedOfTwoTiles) {
  const std::vector<int64_t> areas(9, 1);
  const std::vector<int64_t> load = loads(areas, deal_tiles(areas, 8), 8);
  EXPECT_EQ(*std::max_element(load.begin(), load.end()), 2);
}

TEST(Ownership, NonsenseIsRefused) {
  EXPECT_THROW(deal_rows(10, 0), std::logic_error);
  EXPECT_THROW(deal_rows(-1, 1), std::logic_error);
  EXPECT_THROW(deal_units(3, 3, 0), std::logic_error);
  EXPECT_THROW(deal_tiles(std::vector<int64_t>{1}, 0), std::logic_error);
}

}  // namespace
}  // namespace cogvx

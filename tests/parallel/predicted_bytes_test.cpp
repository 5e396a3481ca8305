#include "parallel/predicted_bytes.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "parallel/mesh_work.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"

// What the exchanges count, against what pure functions say from the shapes.
namespace cogvx {
namespace {

using test::run_mesh;
using test::run_ranks;

constexpr int64_t kWidth = 2;
constexpr RowRange kVideo{37, 5000};

// The transfers of one layer; what the bytes are does not matter.
void move_layer(SequenceExchange& exchange) {
  exchange.begin_to_heads();
  for (int group = 0; group < exchange.head_groups(); ++group) {
    exchange.finish_to_heads(group);
    exchange.begin_to_rows(group);
  }
  exchange.finish_to_rows();
}

class PredictedBytesOf : public testing::TestWithParam<SequenceMode> {};

TEST_P(PredictedBytesOf, AreWhatIsCountedHoweverUnevenlyRowsAndHeadsAreDealt) {
  for (int64_t heads : {30, 5, 3}) {
    for (int64_t rows : {1, 64, 129, 64 * 4 + 2, 64 * 8, 64 * 9 + 3, 64 * 30, 64 * 37 + 1}) {
      const SequenceShape shape{
          .rows = rows, .heads = heads, .head_dim = kWidth, .dtype = at::kBFloat16};
      for (int ranks : {1, 2, 3, 4, 5, 7, 8}) {
        run_ranks(ranks, [&](Group& group) {
          SCOPED_TRACE(std::to_string(heads) + " heads, " + std::to_string(rows) + " rows, rank " +
                       std::to_string(group.rank()) + " of " + std::to_string(ranks));
          const SequencePlace place{group.rank(), ranks};
          const auto exchange = make_shared_sequence(GetParam(), group);
          exchange->begin_sequence(shape);
          for (int64_t layer = 1; layer <= 2; ++layer) {
            move_layer(*exchange);
            EXPECT_EQ(exchange->bytes_sent().attention,
                      layer * predicted_layer_bytes(GetParam(), shape, place));
          }
          const RowRange video = intersect(kVideo, {0, rows});
          const int64_t own = intersect(exchange->rows(), video).size();
          exchange->gather_rows(at::empty({own, 3}), video);
          EXPECT_EQ(exchange->bytes_sent().gathered,
                    predicted_gather_bytes(shape, place, video, 3 * sizeof(float)));
        });
      }
    }
  }
}

TEST_P(PredictedBytesOf, AreTheFormulasWhereEverythingDivides) {
  for (int ranks : {1, 2, 3, 5}) {
    const SequenceShape shape{.rows = 64 * 30, .heads = 30, .head_dim = kWidth};
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_DOUBLE_EQ(static_cast<double>(predicted_layer_bytes(GetParam(), shape, {rank, ranks})),
                       even_layer_bytes(GetParam(), shape, ranks));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, PredictedBytesOf, testing::ValuesIn(kSequenceModes),
                         [](const auto& mode) { return name_of(mode.param); });

// What attention needs, counted one vector at a time: q of a row and its result move where the row
// and the tile have different owners, k and v of a row to every owner of the head but the row's.
struct NeededVectors {
  int64_t once = 0;     // with k and v to the first owner of each head
  int64_t further = 0;  // k and v to its other owners
};
NeededVectors needed_vectors(const SequenceShape& shape, int ranks) {
  const int64_t tiles = ceil_div(shape.rows, kBlockRows);
  const auto units = deal_units(shape.heads, tiles, ranks);
  std::vector<int> row_owner(shape.rows);
  for (int rank = 0; rank < ranks; ++rank) {
    const RowRange own = deal_rows(shape.rows, ranks)[rank];
    std::fill(row_owner.begin() + own.begin, row_owner.begin() + own.end, rank);
  }
  NeededVectors needed;
  for (int64_t head = 0; head < shape.heads; ++head) {
    std::vector<int> owners, tile_owner(tiles);
    for (int rank = 0; rank < ranks; ++rank) {
      for (const AttentionRun& run : units[rank]) {
        if (run.head != head) continue;
        owners.push_back(rank);
        for (int64_t tile = run.tile_begin; tile < run.tile_end; ++tile) tile_owner[tile] = rank;
      }
    }
    for (int64_t row = 0; row < shape.rows; ++row) {
      if (tile_owner[row / kBlockRows] != row_owner[row]) needed.once += 2;
      if (owners[0] != row_owner[row]) needed.once += 2;
      for (size_t i = 1; i < owners.size(); ++i)
        if (owners[i] != row_owner[row]) needed.further += 2;
    }
  }
  return needed;
}

TEST(PredictedBytes, AreWhatAttentionNeedsAndTheKeysAndValuesOfSplitHeadsAndNoMore) {
  for (const int64_t heads : {30, 5, 3}) {
    for (const int64_t rows : {64 * 3 + 1, 4276, 17776}) {
      const SequenceShape shape{.rows = rows, .heads = heads, .head_dim = 64};
      for (const int ranks : {1, 2, 3, 4, 7, 8}) {
        SCOPED_TRACE(std::to_string(heads) + " heads, " + std::to_string(rows) + " rows on " +
                     std::to_string(ranks));
        int64_t all = 0, further = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          all += predicted_layer_bytes(SequenceMode::kUlysses, shape, {rank, ranks});
          further += split_head_bytes(SequenceMode::kUlysses, shape, {rank, ranks});
        }
        constexpr int64_t kVectorBytes = 64 * sizeof(float);
        const NeededVectors needed = needed_vectors(shape, ranks);
        EXPECT_EQ(further, needed.further * kVectorBytes);
        EXPECT_EQ(all - further, needed.once * kVectorBytes);
      }
    }
  }
}

TEST(PredictedBytes, AddUpToTheFormulaAndTheKeysAndValuesOfSplitHeads) {
  // 2B at full size: unevenness moves bytes from rank to rank and hardly adds any.
  const SequenceShape shape{.rows = 17776, .heads = 30, .head_dim = 64, .dtype = at::kBFloat16};
  for (const SequenceMode mode : kSequenceModes) {
    for (const int ranks : {2, 3, 4, 7, 8}) {
      double all = 0, further = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        all += static_cast<double>(predicted_layer_bytes(mode, shape, {rank, ranks}));
        further += static_cast<double>(split_head_bytes(mode, shape, {rank, ranks}));
      }
      const double formula = ranks * even_layer_bytes(mode, shape, ranks);
      std::printf("%s on %d ranks: the formula and %.1f %% for split heads, %.2f %% off\n",
                  name_of(mode), ranks, 100 * further / formula,
                  100 * ((all - further) / formula - 1));
      EXPECT_NEAR((all - further) / formula, 1.0, 0.01);
      if (30 % ranks == 0) {
        EXPECT_EQ(further, 0);
      }
    }
  }
}

TEST(PredictedBytes, TheFormulasAreThoseOfTheDesign) {
  // 2B, two ranks, bf16: 4 N D / 4 and 2 N D / 2 elements.
  const SequenceShape shape{.rows = 17776, .heads = 30, .head_dim = 64, .dtype = at::kBFloat16};
  EXPECT_DOUBLE_EQ(even_layer_bytes(SequenceMode::kUlysses, shape, 2), 2.0 * 17776 * 1920);
  EXPECT_DOUBLE_EQ(even_layer_bytes(SequenceMode::kGather, shape, 2), 2.0 * 17776 * 1920);
  EXPECT_DOUBLE_EQ(even_layer_bytes(SequenceMode::kUlysses, shape, 8),
                   2.0 * 4 * 17776 * 1920 * 7 / 64);
  EXPECT_DOUBLE_EQ(even_layer_bytes(SequenceMode::kGather, shape, 8),
                   2.0 * 2 * 17776 * 1920 * 7 / 8);
}

TEST(WorkBytes, AreCountedWhereTheyLeave) {
  const TensorShape shape{{10}, at::kFloat};
  const std::vector<TileJob> jobs = {{3, {{7}, at::kByte}}, {2, {{5}, at::kByte}}};
  run_mesh(2, 2, [&](const MeshGroups& groups) {
    MeshWork work(groups);
    work.made_once(shape, [] { return at::empty({10}); });
    std::array<at::Tensor, 2> predictions;
    predictions[groups.mesh.cp_rank()] = at::empty({10});
    work.share_branches(shape, predictions);
    work.run_tiles(jobs, [&](int64_t i) {
      return at::empty(jobs[i].result.sizes, at::TensorOptions().dtype(at::kByte));
    });
    // The larger tile is rank 0's, the other rank 1's.
    const int rank = groups.mesh.rank;
    EXPECT_EQ(
        work.bytes_sent(),
        (WorkBytes{.once = rank == 0 ? 3 * 40 : 0, .branches = 40, .tiles = rank == 1 ? 5 : 0}))
        << "rank " << rank;
  });
}

}  // namespace
}  // namespace cogvx

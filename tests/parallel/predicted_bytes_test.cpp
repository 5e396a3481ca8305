#include "parallel/predicted_bytes.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <array>
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
  exchange.begin_to_heads(0);
  exchange.finish_to_heads(0);
  exchange.begin_to_rows(0);
  exchange.finish_to_rows(0);
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

TEST_P(PredictedBytesOf, AddUpToTheFormulasAsLongAsHeadsAreWhole) {
  // 2B at full size on 8: unevenness moves bytes from rank to rank and hardly adds any.
  const SequenceShape shape{.rows = 17776, .heads = 30, .head_dim = 64, .dtype = at::kBFloat16};
  double all = 0;
  for (int rank = 0; rank < 8; ++rank)
    all += static_cast<double>(predicted_layer_bytes(GetParam(), shape, {rank, 8}));
  EXPECT_NEAR(all / (8 * even_layer_bytes(GetParam(), shape, 8)), 1.0, 0.001);
}

INSTANTIATE_TEST_SUITE_P(Modes, PredictedBytesOf, testing::ValuesIn(kSequenceModes),
                         [](const auto& mode) { return name_of(mode.param); });

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

#include "parallel/shared_sequence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/flip.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "parallel/ulysses_exchange.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

using test::run_ranks;

constexpr int64_t kWidth = 4;

// Numbers that name their place: qkv_H3NE of the whole sequence.
at::Tensor all_qkv(const SequenceShape& shape) {
  return at::arange(shape.heads * 3 * shape.rows * shape.head_dim,
                    at::TensorOptions().dtype(at::kFloat))
      .view({shape.heads, 3, shape.rows, shape.head_dim});
}

// A unit's "attention": any function of its own queries and of all keys and values will do.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return q + v + k.flip({-2});
}
at::Tensor attended_ND(const at::Tensor& qkv_H3NE) {
  return attend(qkv_H3NE.select(1, 0), qkv_H3NE.select(1, 1), qkv_H3NE.select(1, 2))
      .permute({1, 0, 2})
      .flatten(1);
}

RowRange rows_of(const AttentionRun& run, int64_t rows) {
  return {run.tile_begin * kBlockRows, std::min(rows, run.tile_end * kBlockRows)};
}

void compute_runs(const at::Tensor& qkv_h3NE, std::span<const AttentionRun> runs,
                  at::Tensor out_hNE) {
  out_hNE.fill_(-1);
  for (const AttentionRun& run : runs) {
    const RowRange rows = rows_of(run, qkv_h3NE.size(2));
    const at::Tensor head = qkv_h3NE[run.head];
    out_hNE[run.head]
        .narrow(0, rows.begin, rows.size())
        .copy_(attend(head[0], head[1], head[2]).narrow(0, rows.begin, rows.size()));
  }
}

// One layer in the transformer's order of calls.
at::Tensor run_layer(SequenceExchange& exchange, const at::Tensor& qkv_H3NE) {
  const RowRange own = exchange.rows();
  exchange.send_buffer().copy_(qkv_H3NE.narrow(2, own.begin, own.size()));
  exchange.begin_to_heads();
  for (int g = 0; g < exchange.head_groups(); ++g) {
    const at::Tensor qkv = exchange.finish_to_heads(g);
    compute_runs(qkv, exchange.runs(g), exchange.attention_output(g));
    exchange.begin_to_rows(g);
  }
  return exchange.finish_to_rows().clone();
}

class SharedSequenceBy : public testing::TestWithParam<SequenceMode> {
 protected:
  static std::unique_ptr<SharedSequence> make(Group& group, SharingOptions options = {}) {
    return make_shared_sequence(GetParam(), group, options);
  }
};

// Which head of the sequence this is, by its first key.
int64_t head_of(const at::Tensor& head_3NE, const at::Tensor& qkv_H3NE) {
  int64_t head = 0;
  while (head < qkv_H3NE.size(0) && !at::equal(head_3NE[1][0], qkv_H3NE[head][1][0])) ++head;
  return head;
}

// Both modes: what a run needs is there in global order, and every unit is in one run.
TEST_P(SharedSequenceBy, EveryUnitHasOneOwnerWhoGetsItsQueriesAndAllKeysAndValuesOfItsHead) {
  for (const SequenceShape& shape :
       {SequenceShape{.rows = 64 * 4 + 3, .heads = 5, .head_dim = kWidth},
        SequenceShape{.rows = 64 * 17 + 3, .heads = 5, .head_dim = kWidth}}) {
    const at::Tensor wanted = all_qkv(shape);
    const int64_t tiles = ceil_div(shape.rows, kBlockRows);
    for (int size : {1, 2, 3, 5, 8}) {
      for (int head_groups : {1, 3}) {
        SCOPED_TRACE(std::to_string(shape.rows) + " rows on " + std::to_string(size));
        std::vector<std::atomic<int>> seen(shape.heads * tiles);
        run_ranks(size, [&](Group& group) {
          const auto exchange = make(group, {.head_groups = head_groups});
          exchange->begin_sequence(shape);
          const RowRange own = exchange->rows();
          exchange->send_buffer().copy_(wanted.narrow(2, own.begin, own.size()));
          exchange->begin_to_heads();
          for (int g = 0; g < exchange->head_groups(); ++g) {
            const at::Tensor arrived = exchange->finish_to_heads(g);
            for (const AttentionRun& run : exchange->runs(g)) {
              const at::Tensor found = arrived[run.head];
              const int64_t head = head_of(found, wanted);
              ASSERT_LT(head, shape.heads) << "rank " << group.rank() << ": a head of nobody";
              EXPECT_TRUE(at::equal(found.narrow(0, 1, 2), wanted[head].narrow(0, 1, 2)));
              const RowRange rows = rows_of(run, shape.rows);
              EXPECT_TRUE(at::equal(found[0].narrow(0, rows.begin, rows.size()),
                                    wanted[head][0].narrow(0, rows.begin, rows.size())));
              for (int64_t tile = run.tile_begin; tile < run.tile_end; ++tile)
                ++seen[head * tiles + tile];
            }
          }
        });
        for (const auto& count : seen) EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(UlyssesExchange, HeadGroupsAreSlicesOfEachRanksRuns) {
  const SequenceShape shape{.rows = 17776, .heads = 30, .head_dim = kWidth};
  for (const int ranks : {2, 7, 8}) {
    const UlyssesPlan whole = plan_ulysses(shape, {0, ranks}, 1);
    for (const int groups : {2, 3, 99}) {
      const UlyssesPlan plan = plan_ulysses(shape, {0, ranks}, groups);
      EXPECT_LE(std::ssize(plan.groups), std::min(groups, 15));
      for (int rank = 0; rank < ranks; ++rank) {
        std::vector<AttentionRun> runs;
        for (const UlyssesGroup& group : plan.groups)
          runs.insert(runs.end(), group.runs_of[rank].begin(), group.runs_of[rank].end());
        EXPECT_EQ(runs, whole.groups[0].runs_of[rank]);
      }
    }
  }
}

TEST_P(SharedSequenceBy, ResultsComeBackToTheRowsTheyBelongTo) {
  for (int64_t heads : {1, 3, 8}) {
    for (int64_t rows : {2, 64, 129, 64 * 9 + 1, 64 * 17 + 1}) {
      const SequenceShape shape{.rows = rows, .heads = heads, .head_dim = kWidth};
      const at::Tensor qkv = all_qkv(shape);
      const at::Tensor wanted_ND = attended_ND(qkv);
      for (int size : {1, 2, 3, 4, 8}) {
        for (int head_groups : {1, 2, 9}) {
          run_ranks(size, [&](Group& group) {
            const auto shared = make(group, {.head_groups = head_groups});
            SharedSequence& exchange = *shared;
            exchange.begin_sequence(shape);
            const RowRange own = exchange.rows();
            for (int layer = 0; layer < 2; ++layer) {
              const at::Tensor o_nD = run_layer(exchange, qkv + layer);
              EXPECT_TRUE(at::equal(o_nD, wanted_ND.narrow(0, own.begin, own.size()) + 3 * layer))
                  << heads << " heads, " << rows << " rows, rank " << group.rank() << " of " << size
                  << ", " << head_groups << " head groups";
            }
          });
        }
      }
    }
  }
}

TEST_P(SharedSequenceBy, GatherGivesEveryoneTheRangeOnly) {
  const SequenceShape shape{.rows = 200, .heads = 2, .head_dim = kWidth};
  const at::Tensor wanted =
      at::arange(150 * 3, at::TensorOptions().dtype(at::kFloat)).view({150, 3});
  for (int size : {1, 2, 3, 6}) {
    run_ranks(size, [&](Group& group) {
      const auto shared = make(group);
      SharedSequence& exchange = *shared;
      exchange.begin_sequence(shape);
      const RowRange own = intersect(exchange.rows(), {50, 200});
      const at::Tensor part =
          own.size() > 0 ? wanted.narrow(0, own.begin - 50, own.size()) : wanted.narrow(0, 0, 0);
      EXPECT_TRUE(at::equal(exchange.gather_rows(part, {50, 200}), wanted));
    });
  }
}

TEST_P(SharedSequenceBy, AGroupOfOneMovesWhatIdentityExchangeHolds) {
  const SequenceShape shape{.rows = 131, .heads = 3, .head_dim = kWidth};
  SingleGroup group;
  const auto shared = make(group);
  SharedSequence& exchange = *shared;
  IdentityExchange identity;
  exchange.begin_sequence(shape);
  identity.begin_sequence(shape);
  EXPECT_EQ(exchange.rows(), identity.rows());
  const auto ours = exchange.runs(0), theirs = identity.runs(0);
  EXPECT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()));
  EXPECT_TRUE(at::equal(run_layer(exchange, all_qkv(shape)), run_layer(identity, all_qkv(shape))));
  EXPECT_EQ(exchange.bytes_sent(), SequenceBytes{});
}

TEST_P(SharedSequenceBy, ASequenceOfAnotherShapeIsSharedAnew) {
  run_ranks(3, [&](Group& group) {
    const auto shared = make(group, {.head_groups = 2});
    SharedSequence& exchange = *shared;
    for (int64_t rows : {300, 65, 300, 1}) {
      const SequenceShape shape{.rows = rows, .heads = 4, .head_dim = kWidth};
      exchange.begin_sequence(shape);
      const RowRange own = exchange.rows();
      const at::Tensor wanted_ND = attended_ND(all_qkv(shape));
      EXPECT_TRUE(at::equal(run_layer(exchange, all_qkv(shape)),
                            wanted_ND.narrow(0, own.begin, own.size())));
    }
  });
}

TEST_P(SharedSequenceBy, CallsOutOfTurnAreRefused) {
  SingleGroup group;
  const auto shared = make(group);
  SharedSequence& exchange = *shared;
  exchange.begin_sequence({.rows = 65, .heads = 1, .head_dim = kWidth});
  EXPECT_THROW(exchange.finish_to_heads(0), std::logic_error);
  exchange.begin_to_heads();
  EXPECT_THROW(exchange.begin_to_heads(), std::logic_error);
  EXPECT_THROW(exchange.begin_sequence({.rows = 66, .heads = 1, .head_dim = kWidth}),
               std::logic_error);
  EXPECT_THROW(exchange.gather_rows(at::arange(6).view({3, 2}), {0, 65}), std::logic_error);
}

TEST(UlyssesExchange, TravelsInTwoGroupsWhereThereIsMuchToMove) {
  const SequenceShape demo{.rows = 136, .heads = 4, .head_dim = 64, .dtype = at::kFloat};
  const SequenceShape full{.rows = 17776, .heads = 30, .head_dim = 64, .dtype = at::kBFloat16};
  SequenceShape on_gpu = full;
  on_gpu.device = at::kCUDA;
  for (const int ranks : {2, 7, 8}) {
    EXPECT_EQ(head_groups(demo, ranks), 1);
    EXPECT_EQ(head_groups(full, ranks), 2);
    EXPECT_EQ(head_groups(on_gpu, ranks), 1);
  }
  EXPECT_EQ(head_groups(full, 1), 1);
}

TEST(UlyssesExchange, NoHeadGroupIsRefused) {
  SingleGroup group;
  EXPECT_THROW(UlyssesExchange(group, {.head_groups = 0}), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Modes, SharedSequenceBy, testing::ValuesIn(kSequenceModes),
                         [](const auto& mode) { return name_of(mode.param); });

}  // namespace
}  // namespace cogvx

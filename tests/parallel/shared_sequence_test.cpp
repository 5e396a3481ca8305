#include "parallel/shared_sequence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>

#include "core/base/errors.h"
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

void compute_runs(const at::Tensor& qkv_h3NE, std::span<const AttentionRun> runs,
                  at::Tensor out_hNE) {
  const int64_t rows = qkv_h3NE.size(2);
  out_hNE.fill_(-1);
  for (const AttentionRun& run : runs) {
    const int64_t begin = run.tile_begin * kBlockRows;
    const int64_t count = std::min(rows, run.tile_end * kBlockRows) - begin;
    // Any function of a unit's own rows will do; v is one.
    out_hNE.select(0, run.head)
        .narrow(0, begin, count)
        .copy_(qkv_h3NE.select(0, run.head).select(0, 2).narrow(0, begin, count));
  }
}

// One layer in the transformer's order of calls; "attention" returns v.
at::Tensor run_layer(SequenceExchange& exchange, const at::Tensor& qkv_H3NE) {
  const auto groups = exchange.head_groups();
  const RowRange own = exchange.rows();
  for (int g = 0; g < static_cast<int>(groups.size()); ++g) {
    exchange.send_buffer(g).copy_(
        qkv_H3NE.narrow(0, groups[g].begin, groups[g].size()).narrow(2, own.begin, own.size()));
    exchange.begin_to_heads(g);
  }
  for (int g = 0; g < static_cast<int>(groups.size()); ++g) {
    const at::Tensor qkv = exchange.finish_to_heads(g);
    compute_runs(qkv, exchange.runs(g), exchange.attention_output(g));
    exchange.begin_to_rows(g);
  }
  at::Tensor o_nD =
      at::empty({own.size(), qkv_H3NE.size(0) * qkv_H3NE.size(3)}, qkv_H3NE.options());
  for (int g = 0; g < static_cast<int>(groups.size()); ++g) {
    o_nD.narrow(1, groups[g].begin * kWidth, groups[g].size() * kWidth)
        .copy_(exchange.finish_to_rows(g));
  }
  return o_nD;
}

class SharedSequenceBy : public testing::TestWithParam<SequenceMode> {
 protected:
  static std::unique_ptr<SharedSequence> make(Group& group, SharingOptions options = {}) {
    return make_shared_sequence(GetParam(), group, options);
  }
};

TEST(UlyssesExchange, EachHeadArrivesWithAllRowsInGlobalOrder) {
  const SequenceShape shape{.rows = 64 * 4 + 3, .heads = 5, .head_dim = kWidth};
  const at::Tensor wanted = all_qkv(shape);
  for (int size : {1, 2, 3, 5, 8}) {
    std::array<std::atomic<int>, 5> seen{};
    run_ranks(size, [&](Group& group) {
      const auto shared = make_shared_sequence(SequenceMode::kUlysses, group);
      SharedSequence& exchange = *shared;
      exchange.begin_sequence(shape);
      const RowRange own = exchange.rows();
      exchange.send_buffer(0).copy_(wanted.narrow(2, own.begin, own.size()));
      exchange.begin_to_heads(0);
      const at::Tensor arrived = exchange.finish_to_heads(0);
      for (int64_t h = 0; h < arrived.size(0); ++h) {
        int64_t head = 0;
        while (head < 5 && !at::equal(arrived[h], wanted[head])) ++head;
        ASSERT_LT(head, 5) << "rank " << group.rank() << ": no head of the sequence is this one";
        ++seen[head];
      }
    });
    for (const auto& count : seen) EXPECT_GE(count, 1);
  }
}

TEST(GatherExchange, KeysAndValuesOfAllRowsArriveInGlobalOrderAndQueriesStay) {
  const SequenceShape shape{.rows = 64 * 4 + 3, .heads = 5, .head_dim = kWidth};
  const at::Tensor wanted = all_qkv(shape);
  for (int size : {1, 2, 3, 5, 8}) {
    run_ranks(size, [&](Group& group) {
      const auto shared = make_shared_sequence(SequenceMode::kGather, group, {.head_groups = 2});
      shared->begin_sequence(shape);
      const RowRange own = shared->rows();
      for (int g = 0; g < 2; ++g) {
        const HeadGroup heads = shared->head_groups()[g];
        const at::Tensor all = wanted.narrow(0, heads.begin, heads.size());
        shared->send_buffer(g).copy_(all.narrow(2, own.begin, own.size()));
        shared->begin_to_heads(g);
        const at::Tensor arrived = shared->finish_to_heads(g);
        const auto part = [](const at::Tensor& qkv_H3NE, int64_t i) {
          return qkv_H3NE.select(1, i);
        };
        EXPECT_TRUE(at::equal(part(arrived, 0).narrow(1, own.begin, own.size()),
                              part(all, 0).narrow(1, own.begin, own.size())));
        EXPECT_TRUE(at::equal(part(arrived, 1), part(all, 1)));
        EXPECT_TRUE(at::equal(part(arrived, 2), part(all, 2)));
      }
    });
  }
}

TEST_P(SharedSequenceBy, ResultsComeBackToTheRowsTheyBelongTo) {
  for (int64_t heads : {1, 3, 8}) {
    for (int64_t rows : {2, 64, 129, 64 * 9 + 1}) {
      const SequenceShape shape{.rows = rows, .heads = heads, .head_dim = kWidth};
      const at::Tensor qkv = all_qkv(shape);
      const at::Tensor wanted_ND = qkv.select(1, 2).permute({1, 0, 2}).flatten(1);
      for (int size : {1, 2, 3, 4, 8}) {
        for (int64_t head_groups : {1, 2, 9}) {
          run_ranks(size, [&](Group& group) {
            const auto shared = make(group, {.head_groups = head_groups});
            SharedSequence& exchange = *shared;
            exchange.begin_sequence(shape);
            const RowRange own = exchange.rows();
            for (int layer = 0; layer < 2; ++layer) {
              const at::Tensor o_nD = run_layer(exchange, qkv + layer);
              EXPECT_TRUE(at::equal(o_nD, wanted_ND.narrow(0, own.begin, own.size()) + layer))
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
      const at::Tensor wanted_ND = all_qkv(shape).select(1, 2).permute({1, 0, 2}).flatten(1);
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
  exchange.begin_to_heads(0);
  EXPECT_THROW(exchange.begin_to_heads(0), std::logic_error);
  EXPECT_THROW(exchange.begin_sequence({.rows = 66, .heads = 1, .head_dim = kWidth}),
               std::logic_error);
  EXPECT_THROW(exchange.gather_rows(at::arange(6).view({3, 2}), {0, 65}), std::logic_error);
  EXPECT_THROW(make(group, {.head_groups = 0}), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Modes, SharedSequenceBy, testing::ValuesIn(kSequenceModes),
                         [](const auto& mode) { return name_of(mode.param); });

}  // namespace
}  // namespace cogvx

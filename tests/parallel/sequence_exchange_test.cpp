// The reason this program exists: one request gives the same bytes on any number of ranks.
#include <ATen/ops/isfinite.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/transformer/transformer.h"
#include "core/weights/weight_map.h"
#include "parallel/ownership.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/parallel/tiny_transformer.h"
#include "tests/support/cpu_path.h"
#include "tests/support/passing_ops.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using test::ForwardInputs;
using test::TinyConfig;

int64_t different_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return -1;
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  const auto* p = static_cast<const char*>(x.const_data_ptr());
  const auto* q = static_cast<const char*>(y.const_data_ptr());
  int64_t different = 0;
  for (size_t i = 0; i < x.nbytes(); ++i) different += p[i] != q[i];
  return different;
}

// A checkpoint, inputs, and what one process on one thread makes of them.
class Reference {
 public:
  Reference(const TinyConfig& tiny, at::ScalarType dtype)
      : config_(test::tiny_transformer_config(tiny)), dtype_(dtype) {
    test::write_random_checkpoint(folder_.path(), config_, 7);
  }

  void add(PatchGrid grid, int64_t text_rows) {
    inputs_.push_back(test::random_inputs(config_, grid, text_rows, dtype_, 11 + inputs_.size()));
    IdentityExchange identity;
    wanted_.push_back(
        test::run_transformer(folder_.path(), config_, dtype_, 1, identity, {inputs_.back()})[0]);
    ASSERT_TRUE(at::isfinite(wanted_.back()).all().item<bool>());
  }

  // Every rank's prediction is the reference, byte for byte.
  void expect_equal_on(int ranks, SequenceMode mode, SharingOptions options = {}) const {
    test::run_ranks(ranks, [&](Group& group) {
      const auto exchange = make_shared_sequence(mode, group, options);
      const int threads = 1 + group.rank() % 2;
      const std::vector<at::Tensor> found =
          test::run_transformer(folder_.path(), config_, dtype_, threads, *exchange, inputs_);
      for (size_t i = 0; i < inputs_.size(); ++i) {
        EXPECT_EQ(different_bytes(found[i], wanted_[i]), 0)
            << "of " << wanted_[i].nbytes() << " bytes; rank " << group.rank() << " of " << ranks
            << ", input " << i << ", " << name_of(mode) << ", " << exchange->head_groups()
            << " head groups";
      }
    });
  }

 private:
  test::TemporaryFolder folder_;
  TransformerConfig config_;
  at::ScalarType dtype_;
  std::vector<ForwardInputs> inputs_;
  std::vector<at::Tensor> wanted_;
};

constexpr PatchGrid kSmall{3, 4, 6};    // 72 video rows
constexpr PatchGrid kLarge{3, 10, 18};  // 540 video rows
constexpr int kWorlds[] = {1, 2, 3, 4, 5, 8};

TEST(SequenceExchange, ThreeRanksEqualOneRank) {
  Reference reference({.heads = 3, .rotary = true}, at::kFloat);
  reference.add(kSmall, 58);  // 130 rows: the cut runs through neither text nor video alone
  for (const SequenceMode mode : kSequenceModes) reference.expect_equal_on(3, mode);
}

struct Case {
  const char* name;
  TinyConfig tiny;
  at::ScalarType dtype;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class SequenceExchangeOf : public testing::TestWithParam<Case> {};

TEST_P(SequenceExchangeOf, EqualsOneRankOnOneToEightRanks) {
  Reference reference(GetParam().tiny, GetParam().dtype);
  reference.add(kSmall, 57);    // 129 rows: the last block is one row
  reference.add(kSmall, 58);    // two rows
  reference.add(kSmall, 59);    // three rows
  reference.add(kSmall, 130);   // text fills whole blocks, and more than one rank
  reference.add({1, 2, 2}, 5);  // less than a block: one rank owns everything
  reference.add(kLarge, 37);    // 577 rows: more blocks than ranks, the last of one row
  for (const SequenceMode mode : kSequenceModes) {
    for (int ranks : kWorlds) reference.expect_equal_on(ranks, mode);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Configs, SequenceExchangeOf,
    testing::Values(
        Case{"ThreeHeadsSincosFp32", {.heads = 3}, at::kFloat},
        Case{"ThreeHeadsSincosBf16", {.heads = 3}, at::kBFloat16},
        Case{"ThreeHeadsRotaryFp32", {.heads = 3, .rotary = true}, at::kFloat},
        Case{"ThreeHeadsRotaryBf16", {.heads = 3, .rotary = true}, at::kBFloat16},
        Case{"FiveHeadsSincosFp32", {.heads = 5}, at::kFloat},
        Case{"FiveHeadsRotaryBf16", {.heads = 5, .rotary = true}, at::kBFloat16},
        Case{"ThirtyHeadsSincosBf16", {.heads = 30, .head_dim = 16}, at::kBFloat16},
        Case{"ThirtyHeadsRotaryFp32", {.heads = 30, .head_dim = 16, .rotary = true}, at::kFloat}),
    [](const auto& instance) { return std::string(instance.param.name); });

class SequenceExchangeOfAKind : public testing::TestWithParam<Case> {};

TEST_P(SequenceExchangeOfAKind, EqualsOneRankOnOneToSevenRanks) {
  Reference reference(GetParam().tiny, GetParam().dtype);
  reference.add(kLarge, 37);       // 577 rows: the last block is one row
  reference.add({1, 10, 18}, 37);  // 217 rows: fewer blocks than ranks
  reference.add({2, 10, 18}, 37);  // the video of another length, then the first again
  reference.add(kLarge, 37);
  for (const SequenceMode mode : kSequenceModes) {
    for (int ranks : {1, 2, 3, 7}) reference.expect_equal_on(ranks, mode);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SequenceExchangeOfAKind,
    testing::Values(
        Case{
            "ImageToVideoFp32", {.rotary = true, .conditioned = true, .learned = true}, at::kFloat},
        Case{"ImageToVideoBf16",
             {.rotary = true, .conditioned = true, .learned = true},
             at::kBFloat16},
        Case{"TemporalPatchesFp32", {.rotary = true, .patch_size_t = 2}, at::kFloat},
        Case{"TemporalPatchesBf16", {.rotary = true, .patch_size_t = 2}, at::kBFloat16},
        Case{"TemporalPatchesAndOfsFp32",
             {.heads = 5, .rotary = true, .conditioned = true, .patch_size_t = 2, .ofs = true},
             at::kFloat},
        Case{"TemporalPatchesAndOfsBf16",
             {.rotary = true, .conditioned = true, .patch_size_t = 2, .ofs = true},
             at::kBFloat16},
        Case{"ControlSincosFp32", {.conditioned = true}, at::kFloat},
        Case{"ControlRotaryBf16", {.rotary = true, .conditioned = true}, at::kBFloat16}),
    [](const auto& instance) { return std::string(instance.param.name); });

class SplitHeads : public testing::TestWithParam<Case> {};

// So many rows that ranks which do not divide the heads split some.
TEST_P(SplitHeads, EqualWholeOnes) {
  Reference reference(GetParam().tiny, GetParam().dtype);
  reference.add({4, 20, 20}, 37);  // 1637 rows: 26 tiles, the last of 37
  for (int ranks : {2, 4, 7, 8}) reference.expect_equal_on(ranks, SequenceMode::kUlysses);
  reference.expect_equal_on(4, SequenceMode::kUlysses, {.head_groups = 1});
  reference.expect_equal_on(4, SequenceMode::kUlysses, {.head_groups = 3});
}

INSTANTIATE_TEST_SUITE_P(
    Configs, SplitHeads,
    testing::Values(
        Case{"FiveHeadsFp32", {.heads = 5, .layers = 1}, at::kFloat},
        Case{"ThreeHeadsRotaryBf16", {.heads = 3, .rotary = true, .layers = 1}, at::kBFloat16},
        Case{"ThirtyHeadsRotaryBf16",
             {.heads = 30, .head_dim = 16, .rotary = true, .layers = 1},
             at::kBFloat16}),
    [](const auto& instance) { return std::string(instance.param.name); });

// Writes over every query that is not of the runs.
class OtherQueriesLost final : public test::PassingOps {
 public:
  using PassingOps::PassingOps;
  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE) override {
    const at::Tensor lost = qkv_H3NE.clone();
    lost.select(1, 0).fill_(std::numeric_limits<double>::quiet_NaN());
    for (const AttentionRun& run : runs) {
      const RowRange rows = common_rows(run, {0, qkv_H3NE.size(2)});
      lost[run.head][0]
          .narrow(0, rows.begin, rows.size())
          .copy_(qkv_H3NE[run.head][0].narrow(0, rows.begin, rows.size()));
    }
    inner_.attention(lost, runs, out_HNE);
  }
};

TEST(SequenceExchange, QueriesOfOtherRanksTilesAreNeverLookedAt) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const TransformerConfig config = test::tiny_transformer_config({.heads = 3, .rotary = true});
    test::TemporaryFolder folder;
    test::write_random_checkpoint(folder.path(), config, 7);
    const ForwardInputs input = test::random_inputs(config, kLarge, 37, dtype, 11);
    IdentityExchange identity;
    const at::Tensor wanted =
        test::run_transformer(folder.path(), config, dtype, 1, identity, {input})[0];
    for (const SequenceMode mode : kSequenceModes) {
      for (int ranks : {4, 8}) {
        test::run_ranks(ranks, [&](Group& group) {
          ThreadPool pool(1);
          CpuOps cpu(pool, test::cpu_path());
          OtherQueriesLost ops(cpu);
          WeightMap weights(folder.path(), "diffusion_pytorch_model");
          Transformer transformer(config, weights, dtype, ops);
          const auto exchange = make_shared_sequence(mode, group);
          EXPECT_EQ(different_bytes(transformer.forward(input.latents_LCYX, input.text_TE,
                                                        input.timestep, *exchange),
                                    wanted),
                    0);
        });
      }
    }
  }
}

TEST(SequenceExchange, SeveralHeadGroupsEqualOne) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Reference reference({.heads = 5, .rotary = true}, dtype);
    reference.add(kSmall, 59);
    reference.add(kLarge, 37);
    for (int head_groups : {1, 2, 5}) {
      for (int ranks : {1, 3, 8})
        reference.expect_equal_on(ranks, SequenceMode::kUlysses, {.head_groups = head_groups});
    }
  }
}

}  // namespace
}  // namespace cogvx

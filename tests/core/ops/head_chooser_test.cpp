// How the chooser calls attention.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "core/base/errors.h"
#include "core/ops/chooser.h"
#include "tests/core/ops/chooser_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct HeadPlace {
  int64_t heads;  // of the call
  int64_t head;
  const float* data;
};
using HeadVaries = std::function<bool(const HeadPlace&)>;

constexpr int64_t kHeads = 7, kHeadRows = 5, kWidth = 8;
const HeadLayer kHeadLayer{
    .name = "attention", .heads = kHeads, .rows = kHeadRows, .width = kWidth};

// Not attention, but a sum over all of a head's values whose order shows.
HeadKernel head_kernel(const HeadVaries& varies, int64_t reads_head = 0) {
  return {.id = "fused", .workspace_bytes = 16, .run = [=](const HeadCall& call) {
            const at::Tensor qkv = call.qkv_H3NE.contiguous();
            const int64_t heads = qkv.size(0), values = 3 * kHeadRows * kWidth;
            for (int64_t h = 0; h < heads; ++h) {
              const int64_t from = (h + reads_head) % heads;
              const float* x = qkv.const_data_ptr<float>() + from * values;
              const bool backwards = varies({heads, h, call.qkv_H3NE.const_data_ptr<float>()});
              float sum = 0;
              for (int64_t i = 0; i < values; ++i) sum += x[backwards ? values - 1 - i : i];
              call.out_HNE[h].fill_(sum);
            }
          }};
}

at::Tensor heads_by(const ChosenHeads& chosen, int64_t ranks, const at::Tensor& qkv) {
  const at::Tensor out = at::full({kHeads, kHeadRows, kWidth}, -1.0f);
  for (int64_t rank = 0, head = 0; rank < ranks; ++rank) {
    const int64_t count = kHeads / ranks + (rank < kHeads % ranks);
    chosen.run(qkv.narrow(0, head, count).clone(), out.narrow(0, head, count));
    head += count;
  }
  return out;
}

struct HeadCase {
  const char* name;
  HeadVaries varies;
  bool all_at_once;
  int64_t reads_head = 0;
};
void PrintTo(const HeadCase& head_case, std::ostream* out) { *out << head_case.name; }

class HeadsOfADevice : public testing::TestWithParam<HeadCase> {};

TEST_P(HeadsOfADevice, HaveTheSameBytesOnEveryNumberOfRanks) {
  const ChosenHeads chosen =
      choose_heads(kHeadLayer, head_kernel(GetParam().varies, GetParam().reads_head), tools());
  EXPECT_EQ(chosen.all_at_once(), GetParam().all_at_once) << chosen.verdict().reason;
  const at::Tensor qkv = normal({kHeads, 3, kHeadRows, kWidth}, 9);
  const at::Tensor wanted = heads_by(chosen, 1, qkv);
  for (int64_t ranks = 2; ranks <= kHeads + 1; ++ranks)
    EXPECT_TRUE(equal_bytes(heads_by(chosen, ranks, qkv), wanted)) << ranks << " ranks";
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, HeadsOfADevice,
    testing::Values(
        HeadCase{"Constant", [](const HeadPlace&) { return false; }, true},
        HeadCase{"VariesWithManyHeads", [](const HeadPlace& p) { return p.heads > 4; }, false},
        HeadCase{"VariesAtOneCount", [](const HeadPlace& p) { return p.heads == 3; }, false},
        HeadCase{"VariesAtTheLastHead",
                 [](const HeadPlace& p) { return p.heads > 1 && p.head == p.heads - 1; }, false},
        HeadCase{"VariesAtAMiddleHead", [](const HeadPlace& p) { return p.head == 5; }, false},
        HeadCase{"ReadsItsNeighbour", [](const HeadPlace&) { return false; }, false, 1}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(ChooseHeads, AKernelThatGoesByItsAddressOrDriftsIsRefused) {
  const auto refusal = [](const HeadVaries& varies) -> std::string {
    try {
      choose_heads(kHeadLayer, head_kernel(varies), tools());
    } catch (const DeviceError& error) {
      return error.what();
    }
    return "";
  };
  const auto calls = std::make_shared<int>(0);
  EXPECT_THAT(refusal([calls](const HeadPlace&) { return ++*calls % 3 == 0; }),
              AllOf(HasSubstr("attention (7 heads of 8, Float, 5 rows): kernel 'fused' gives other "
                              "bytes the second time"),
                    Not(HasSubstr("\n"))));
  const auto base = std::make_shared<const float*>(nullptr);
  EXPECT_THAT(refusal([base](const HeadPlace& p) {
                if (*base == nullptr) *base = p.data;
                return p.data == *base + 4 * 3 * kHeadRows * kWidth;
              }),
              HasSubstr("where it lies elsewhere in memory"));
}

TEST(ChooseHeads, AWorkspaceThatIsNotToBeHadIsOutOfMemory) {
  const ProbeTools none{.reserve = [](int64_t) { return at::Tensor(); }};
  EXPECT_THROW(choose_heads(kHeadLayer, head_kernel([](const HeadPlace&) { return false; }), none),
               MemoryError);
}

}  // namespace
}  // namespace cogvx

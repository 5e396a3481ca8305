#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/core/golden/golden_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

class TextGolden : public testing::TestWithParam<const char*> {};

TEST_P(TextGolden, StatesAgreeWithDiffusers) {
  const TinyCheckpoint checkpoint(GetParam());
  const auto ops = make_golden_ops(at::kFloat);
  for (const GoldenCase& golden : golden_cases(GetParam(), "text")) {
    const at::Tensor states = encode_ids(*checkpoint, golden.output("ids"), at::kFloat, *ops);
    EXPECT_TRUE(agrees(golden, "states", states.unsqueeze(0)));
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, TextGolden, testing::Values("tiny-2b", "tiny-5b", "tiny-30x16"));

}  // namespace
}  // namespace cogvx

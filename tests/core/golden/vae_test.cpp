#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/core/golden/golden_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

class VaeGolden : public testing::TestWithParam<const char*> {};

TEST_P(VaeGolden, DecodedVideoAgreesWithDiffusers) {
  const TinyCheckpoint checkpoint(GetParam());
  const auto ops = make_golden_ops(at::kFloat);
  const VaeDecoder decoder = load_vae(*checkpoint, at::kFloat, *ops);
  for (const GoldenCase& golden : golden_cases(GetParam(), "vae")) {
    const bool tiling = golden.params().at("tiling");
    EXPECT_TRUE(
        agrees(golden, "sample", decode_video(*checkpoint, decoder, golden.input("z"), tiling)));
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, VaeGolden, testing::Values("tiny-2b", "tiny-5b", "tiny-30x16"));

}  // namespace
}  // namespace cogvx

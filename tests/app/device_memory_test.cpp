#include "app/device_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kGb = 1'000'000'000;
const std::vector<Stage> kAll = {Stage::kEncodeText, Stage::kDenoise, Stage::kDecode};
// Denoising needs most with all weights there, decoding where they come layer by layer.
const OffloadPlans kPlans = {
    .none = {.encode_text = 2 * kGb, .denoise = 20 * kGb, .decode = 9 * kGb},
    .sequential = {.encode_text = kGb, .denoise = 8 * kGb, .decode = 9 * kGb}};

std::string refusal(const std::string& wanted, int64_t free_bytes) {
  try {
    choose_offload(wanted, kPlans, kAll, free_bytes);
  } catch (const MemoryError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(ChooseOffload, AutoKeepsWeightsOnTheGpuWhereAllStagesAndTheMarginFit) {
  const int64_t enough = 21 * kGb + (1 << 30);
  const OffloadChoice roomy = choose_offload("auto", kPlans, kAll, enough);
  EXPECT_EQ(roomy.offload, "none");
  EXPECT_EQ(roomy.plan, kPlans.none);
  EXPECT_EQ(roomy.notice, "");
  const OffloadChoice tight = choose_offload("auto", kPlans, kAll, enough - 1);
  EXPECT_EQ(tight.offload, "sequential");
  EXPECT_EQ(tight.plan, kPlans.sequential);
  EXPECT_THAT(tight.notice, AllOf(HasSubstr("denoise needs about 20.00 GB"),
                                  HasSubstr("22.07 GB are free"), HasSubstr("about 9.00 GB")));
}

TEST(ChooseOffload, AutoDoesNotSlowDownWhatNeedsNoLess) {
  const MemoryPlan decoding{.encode_text = kGb, .denoise = 2 * kGb, .decode = 9 * kGb};
  const OffloadPlans plans{.none = decoding, .sequential = decoding};
  EXPECT_EQ(choose_offload("auto", plans, kAll, 9 * kGb).offload, "none");
  EXPECT_THROW(choose_offload("auto", plans, kAll, 9 * kGb - 1), MemoryError);
}

TEST(ChooseOffload, OnlyTheStagesOfTheRunCount) {
  const OffloadChoice choice = choose_offload("auto", kPlans, {Stage::kDecode}, 12 * kGb);
  EXPECT_EQ(choice.offload, "none");
}

TEST(ChooseOffload, WhatIsAskedForIsTakenWhileThePlanFits) {
  EXPECT_EQ(choose_offload("none", kPlans, kAll, 20 * kGb).offload, "none");
  EXPECT_EQ(choose_offload("model", kPlans, kAll, 20 * kGb).offload, "none");
  EXPECT_EQ(choose_offload("sequential", kPlans, kAll, 9 * kGb).offload, "sequential");
  EXPECT_EQ(choose_offload("sequential", kPlans, kAll, 80 * kGb).offload, "sequential");
  EXPECT_EQ(choose_offload("auto", kPlans, kAll, 9 * kGb).offload, "sequential");
}

TEST(ChooseOffload, WhatDoesNotFitIsRefusedWithNeedHaveAndCure) {
  const auto layers = HasSubstr("--offload sequential, fewer --frames");
  EXPECT_THAT(
      refusal("none", 20 * kGb - 1),
      AllOf(HasSubstr("denoise needs about 20.00 GB of the GPU's memory with --offload none"),
            HasSubstr("20.00 GB are free"), layers, Not(HasSubstr("\n"))));
  EXPECT_THAT(refusal("model", 19 * kGb), AllOf(HasSubstr("--offload model"), layers));
  EXPECT_THAT(refusal("none", 8 * kGb), Not(layers)) << "it would not fit either";
  for (const char* wanted : {"sequential", "auto"}) {
    EXPECT_THAT(refusal(wanted, 9 * kGb - 1),
                AllOf(HasSubstr("decode needs about 9.00 GB"), HasSubstr("--offload sequential,"),
                      HasSubstr("; use fewer --frames"), HasSubstr("a larger GPU")))
        << wanted;
  }
}

TEST(DeviceShareOfAProcess, TheFirstRankEncodesAndJoins) {
  Checkpoint checkpoint;
  Request request;
  request.width = 720;
  request.height = 480;
  request.num_frames = 49;
  request.dtype = at::kBFloat16;
  const auto share = [&](int sp, int rank) {
    return device_share(checkpoint, request, {.device = "cuda", .cp = 2, .sp = sp},
                        {.cp = 2, .sp = sp, .rank = rank});
  };
  EXPECT_EQ(share(1, 0).rows, 17776);
  EXPECT_EQ(share(1, 1).rows, 17776) << "the other branch, all of it";
  EXPECT_EQ(share(2, 0).rows + share(2, 1).rows, 17776);
  EXPECT_EQ(share(2, 3).rows, share(2, 1).rows);
  EXPECT_EQ(share(2, 3).heads, 15);
  EXPECT_TRUE(share(2, 0).joins_tiles && share(2, 0).encodes_text);
  EXPECT_FALSE(share(2, 2).joins_tiles || share(2, 2).encodes_text);
}

}  // namespace
}  // namespace cogvx::app

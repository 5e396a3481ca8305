#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/core/golden/golden_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

constexpr Limits kFinalLimits{.max_abs = 1e-4, .relative_l2 = 3e-5};
constexpr double kMinPsnr = 70.0;

class PipelineGolden : public testing::TestWithParam<const char*> {
 protected:
  PipelineGolden() : checkpoint_(GetParam()), ops_(make_golden_ops(at::kFloat)) {}

  TextStates texts(const GoldenCase& golden) {
    TextStates states{
        .prompt = encode_ids(*checkpoint_, golden.output("prompt_ids"), at::kFloat, *ops_),
        .negative = {}};
    if (golden.has_output("negative_prompt_ids")) {
      states.negative =
          encode_ids(*checkpoint_, golden.output("negative_prompt_ids"), at::kFloat, *ops_);
    }
    return states;
  }

  TinyCheckpoint checkpoint_;
  std::unique_ptr<Ops> ops_;
};

TEST_P(PipelineGolden, LatentsAndFramesAgreeWithDiffusers) {
  Transformer transformer = load_transformer(*checkpoint_, at::kFloat, *ops_);
  const VaeDecoder decoder = load_vae(*checkpoint_, at::kFloat, *ops_);
  for (const GoldenCase& golden : golden_cases(GetParam(), "pipeline")) {
    const Request request = golden_request(*checkpoint_, golden.params(),
                                           golden.params().at("seed").get<uint64_t>(), at::kFloat);
    ASSERT_EQ(golden.params().at("scheduler") == "CogVideoXDPMScheduler",
              request.scheduler.kind == SchedulerKind::kDpm);
    const DenoisedLatents latents = run_denoise(request, *checkpoint_, transformer, texts(golden));
    EXPECT_TRUE(agrees(golden, "latents.initial", latents.initial, {0, 0}));
    EXPECT_TRUE(agrees(golden, "latents.1", latents.first));
    EXPECT_TRUE(agrees(golden, "latents.final", latents.final, kFinalLimits));
    if (!golden.has_output("frames")) continue;
    const at::Tensor frames = decode_frames(request, *checkpoint_, decoder, latents.final);
    const double psnr = psnr_of_bytes(golden.same_part("frames", frames), golden.output("frames"));
    std::printf("golden %s frames: PSNR %.1f dB (limit %.0f)\n", golden.label().c_str(), psnr,
                kMinPsnr);
    EXPECT_GE(psnr, kMinPsnr) << golden.label() << " frames";
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, PipelineGolden, testing::Values("tiny-2b", "tiny-5b", "tiny-30x16"));

}  // namespace
}  // namespace cogvx

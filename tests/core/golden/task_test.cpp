// Whole pipelines of every task and kind beside text to video of 1.0, against diffusers.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <optional>

#include "core/base/random.h"
#include "tests/core/golden/golden_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

constexpr Limits kFinalLimits{.max_abs = 1e-4, .relative_l2 = 3e-5};
constexpr double kMinPsnr = 70.0;

struct TaskCase {
  const char* recipe;
  const char* kind;
};
void PrintTo(const TaskCase& one, std::ostream* out) { *out << one.recipe << " " << one.kind; }

class TaskGolden : public testing::TestWithParam<TaskCase> {
 protected:
  TaskGolden()
      : cases_(golden_cases(GetParam().recipe, GetParam().kind)),
        checkpoint_(cases_.front().params().at("checkpoint")),
        ops_(make_golden_ops(at::kFloat)) {}

  TextStates texts(const GoldenCase& golden) {
    const auto encoded = [&](const char* ids) {
      return golden.has_output(ids)
                 ? encode_ids(*checkpoint_, golden.output(ids), at::kFloat, *ops_)
                 : at::Tensor();
    };
    return {.prompt = encoded("prompt_ids"), .negative = encoded("negative_prompt_ids")};
  }

  void check_conditions(const GoldenCase& golden, const Conditions& conditions) {
    const auto check = [&](const char* output, const at::Tensor& found) {
      if (!golden.has_output(output)) return;
      ASSERT_TRUE(found.defined()) << golden.label() << " " << output;
      EXPECT_TRUE(agrees(golden, output, found.unsqueeze(0)));
    };
    check("image_latents", conditions.channels_LCYX);
    check("control_latents", conditions.channels_LCYX);
    check("video_latents", conditions.video_LCYX);
  }

  std::vector<GoldenCase> cases_;
  TinyCheckpoint checkpoint_;
  std::unique_ptr<Ops> ops_;
};

TEST_P(TaskGolden, ConditionsLatentsAndFramesAgreeWithDiffusers) {
  Transformer transformer = load_transformer(*checkpoint_, at::kFloat, *ops_);
  const VaeEncoder encoder = load_vae_encoder(*checkpoint_, at::kFloat, *ops_);
  const VaeDecoder decoder = load_vae(*checkpoint_, at::kFloat, *ops_);
  for (const GoldenCase& golden : cases_) {
    SCOPED_TRACE(golden.label());
    const Request request = golden_request(*checkpoint_, golden.params(),
                                           golden.params().at("seed").get<uint64_t>(), at::kFloat);
    GoldenInput input{{}, make_generator(request.seed)};
    if (const at::Tensor rgb_FHW3 = golden_rgb(request, golden); rgb_FHW3.defined()) {
      input.conditions =
          golden_conditions(request, *checkpoint_, encoder, rgb_FHW3, input.generator);
      check_conditions(golden, input.conditions);
    }
    const DenoisedLatents latents =
        run_denoise(request, *checkpoint_, transformer, texts(golden), input);
    EXPECT_TRUE(agrees(golden, "latents.initial", latents.initial));
    EXPECT_TRUE(agrees(golden, "latents.1", latents.first));
    EXPECT_TRUE(agrees(golden, "latents.final", latents.final, kFinalLimits));
    if (!golden.has_output("frames")) continue;
    const LatentShape shape = latent_shape(request, *checkpoint_);
    const at::Tensor frames = decode_frames(
        request, *checkpoint_, decoder, latents.final.narrow(1, shape.padding, shape.decoded()));
    const double psnr = psnr_of_bytes(golden.same_part("frames", frames), golden.output("frames"));
    std::printf("golden %s frames: PSNR %.1f dB (limit %.0f)\n", golden.label().c_str(), psnr,
                kMinPsnr);
    EXPECT_GE(psnr, kMinPsnr);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tiny, TaskGolden,
    testing::Values(TaskCase{"tiny-5b-i2v", "i2v"}, TaskCase{"tiny-1.5", "t2v"},
                    TaskCase{"tiny-1.5", "v2v"}, TaskCase{"tiny-1.5-i2v", "i2v"},
                    TaskCase{"tiny-fun-2b", "control"}, TaskCase{"tiny-fun-5b", "control"},
                    TaskCase{"tiny-2b-input", "v2v"}, TaskCase{"tiny-5b-input", "v2v"},
                    TaskCase{"tiny-30x16-input", "v2v"}));

}  // namespace
}  // namespace cogvx

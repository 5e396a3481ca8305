#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/cpu_path.h"
#include "tests/support/tiny_models.h"

// The promise of the whole program on a tiny scale: token ids to frames, any thread count, the same
// bytes.
namespace cogvx {
namespace {

using namespace test;

struct Setting {
  const char* checkpoint;
  at::ScalarType dtype;
};

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype;
}

struct Made {
  at::Tensor latents;
  at::Tensor frames;
};

// Two tiles, two temporal chunks, guidance, three steps.
Request make_request(const Checkpoint& checkpoint, at::ScalarType dtype) {
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  nlohmann::json params = any.params();
  params["width"] = 96;
  params["height"] = 64;
  params["num_frames"] = 13;
  params["steps"] = 3;
  params["dynamic_cfg"] = checkpoint.scheduler.kind == SchedulerKind::kDpm;
  Request request = golden_request(checkpoint, params, 5, dtype);
  request.vae_tile = {.height = 96, .width = 80};
  return request;
}

Made make(const Checkpoint& checkpoint, at::ScalarType dtype, int threads) {
  ThreadPool pool(threads);
  CpuOps ops(pool, test::cpu_path());
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  const TextStates text{
      .prompt = encode_ids(checkpoint, any.output("prompt_ids"), dtype, ops),
      .negative = encode_ids(checkpoint, any.output("negative_prompt_ids"), dtype, ops)};
  Transformer transformer = load_transformer(checkpoint, dtype, ops);
  const Request request = make_request(checkpoint, dtype);
  Made made{.latents = run_denoise(request, checkpoint, transformer, text).final, .frames = {}};
  const VaeDecoder decoder = load_vae(checkpoint, dtype, ops);
  made.frames = decode_frames(request, checkpoint, decoder, made.latents);
  return made;
}

class PipelineInvariance : public testing::TestWithParam<Setting> {};

TEST_P(PipelineInvariance, LatentsAndFramesAreTheSameBytesForAnyThreadCount) {
  const Setting setting = GetParam();
  const TinyCheckpoint checkpoint(
      setting.checkpoint, setting.dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16);
  const Made wanted = make(*checkpoint, setting.dtype, 1);
  ASSERT_EQ(wanted.latents.scalar_type(), setting.dtype);
  // L = 4 latent frames decode to 16.
  ASSERT_EQ(wanted.frames.sizes(), at::IntArrayRef({16, 64, 96, 3}));
  for (const int threads : {2, 3, 5}) {
    const Made made = make(*checkpoint, setting.dtype, threads);
    EXPECT_TRUE(same_bytes(made.latents, wanted.latents)) << threads << " threads";
    EXPECT_TRUE(same_bytes(made.frames, wanted.frames)) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, PipelineInvariance,
                         testing::Values(Setting{"tiny-2b", at::kFloat},
                                         Setting{"tiny-2b", at::kBFloat16},
                                         Setting{"tiny-5b", at::kFloat},
                                         Setting{"tiny-5b", at::kBFloat16}));

}  // namespace
}  // namespace cogvx

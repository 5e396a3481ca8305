#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/vae/posterior.h"
#include "tests/core/golden/golden_ops.h"
#include "tests/support/passing_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

class EncoderGolden : public testing::TestWithParam<const char*> {
 protected:
  static std::string checkpoint_of(const GoldenCase& golden) {
    return golden.params().at("checkpoint");
  }
  static at::Tensor sampled(const at::Tensor& moments_1CtYX, uint64_t seed) {
    at::Generator generator = make_generator(seed);
    return sample_posterior(moments_1CtYX.squeeze(0), draws_from(generator)).unsqueeze(0);
  }

  std::unique_ptr<Ops> ops_ = make_golden_ops(at::kFloat);
};

TEST_P(EncoderGolden, MomentsAndLatentsAgreeWithDiffusers) {
  const std::vector<GoldenCase> cases = golden_cases(GetParam(), "encode");
  const TinyCheckpoint checkpoint(checkpoint_of(cases.front()));
  const VaeEncoder encoder = load_vae_encoder(*checkpoint, at::kFloat, *ops_);
  for (const GoldenCase& golden : cases) {
    ASSERT_EQ(checkpoint_of(golden), checkpoint_of(cases.front()));
    const at::Tensor moments =
        encode_moments(*checkpoint, encoder, golden.input("sample"), golden.params().at("tiling"));
    EXPECT_TRUE(agrees(golden, "moments", moments));
    EXPECT_TRUE(agrees(golden, "latents", sampled(moments, golden.params().at("seed"))));
  }
}

// Keeps what every layer that has a name in diffusers puts out.
class StageOps final : public PassingOps {
 public:
  using PassingOps::PassingOps;

  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override {
    const bool ends_resnet = call.sum_CTYX.defined();
    last_ = inner_.convolution(std::move(call), weights);
    // A later layer may write where this one's result lies.
    if (stages_.empty() || weights.stride == 2 || ends_resnet)
      stages_.push_back(download(last_).clone());
    return last_;
  }
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override {
    inner_.norm_silu(x, call, y);
    last_norm_ = download(y).clone();
  }
  // Of the chunk just encoded, and forgets them.
  std::vector<at::Tensor> take() {
    stages_.push_back(last_norm_);
    stages_.push_back(download(last_));
    return std::exchange(stages_, {});
  }

 private:
  std::vector<at::Tensor> stages_;
  at::Tensor last_;
  at::Tensor last_norm_;
};

TEST_P(EncoderGolden, EveryLayerAgreesWithDiffusersInEveryChunk) {
  const GoldenCase golden = golden_cases(GetParam(), "encode_stages").front();
  const TinyCheckpoint checkpoint(checkpoint_of(golden));
  StageOps ops(*ops_);
  const VaeEncoder encoder = load_vae_encoder(*checkpoint, at::kFloat, ops);
  const at::Tensor sample = golden.input("sample").squeeze(0);
  const std::vector<RowRange> chunks = encoder_chunks(sample.size(1));
  const std::vector<std::string> names = golden.params().at("stages");
  ASSERT_EQ(std::ssize(chunks), std::ssize(golden.params().at("chunks")));
  CausalCache cache;
  for (int64_t i = 0; i < std::ssize(chunks); ++i) {
    ASSERT_EQ(chunks[i].size(), golden.params().at("chunks").at(i).get<int64_t>());
    encoder.encode_chunk(sample.narrow(1, chunks[i].begin, chunks[i].size()).contiguous(), cache);
    const std::vector<at::Tensor> found = ops.take();
    ASSERT_EQ(found.size(), names.size());
    for (size_t j = 0; j < names.size(); ++j) {
      const std::string output = "chunk" + std::to_string(i) + "." + names[j];
      if (names[j] != "norm_out") {
        EXPECT_TRUE(agrees(golden, output, found[j].unsqueeze(0)));
        continue;
      }
      // Ours has gone through SiLU.
      const Difference apart = difference(golden.same_part(output, found[j].unsqueeze(0)),
                                          at::silu(golden.output(output)));
      EXPECT_LE(apart.max_abs, Limits{}.max_abs) << output;
      EXPECT_LE(apart.relative_l2, Limits{}.relative_l2) << output;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EncoderGolden,
                         testing::Values("tiny-2b-input", "tiny-5b-input", "tiny-30x16-input"));

TEST(PosteriorGolden, SamplesAndModesAgreeWithDiffusersWhereTheLogVarianceIsCut) {
  const GoldenCase golden = golden_cases("tiny-2b-input", "posterior").front();
  for (const auto& [name, dtype] :
       {std::pair{"fp32", at::kFloat}, std::pair{"bf16", at::kBFloat16}}) {
    const at::Tensor moments =
        at::cat({golden.input("mean"), golden.input("logvar")}, 1).squeeze(0).to(dtype);
    at::Generator generator = make_generator(golden.params().at("seed"));
    const at::Tensor latents = sample_posterior(moments, draws_from(generator));
    ASSERT_EQ(latents.scalar_type(), dtype);
    // One exponential is all that another machine may round otherwise; in bf16 even that is gone.
    EXPECT_TRUE(agrees(golden, std::string("latents.") + name, latents.to(at::kFloat).unsqueeze(0),
                       dtype == at::kFloat ? Limits{1e-6, 1e-6} : Limits{0, 0}));
    EXPECT_TRUE(same_bytes(mode_of(moments).to(at::kFloat).unsqueeze(0),
                           golden.output(std::string("mode.") + name)));
  }
}

}  // namespace
}  // namespace cogvx

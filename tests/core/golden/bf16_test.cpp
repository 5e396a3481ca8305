#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "tests/core/golden/golden_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;

constexpr double kMaxMeanRatio = 1.1;
constexpr double kMaxRatio = 1.3;

// Our distance to fp32 over that of diffusers in bf16, per output; the outputs of one quantity
// differ in their seed, the last part of their names.
class Bf16Ratios {
 public:
  explicit Bf16Ratios(const GoldenCase& golden) : golden_(golden) {}

  void add(const std::string& output, const at::Tensor& whole) {
    ASSERT_EQ(whole.scalar_type(), at::kBFloat16) << golden_.label() << " " << output;
    const double ours =
        difference(golden_.same_part(output, whole), golden_.output(output)).relative_l2;
    const double theirs = golden_.params().at("relative_l2").at(output);
    ratios_[output.substr(0, output.rfind('.'))].push_back(ours / theirs);
    std::printf("golden %s %s: relative L2 %.3g, diffusers %.3g, ratio %.3f\n",
                golden_.label().c_str(), output.c_str(), ours, theirs, ours / theirs);
    EXPECT_LE(ours / theirs, kMaxRatio) << golden_.label() << " " << output;
  }

  void check_means() const {
    for (const auto& [quantity, ratios] : ratios_) {
      EXPECT_EQ(ratios.size(), 5U) << golden_.label() << " " << quantity;
      double logarithms = 0;
      for (const double ratio : ratios) logarithms += std::log(ratio);
      const double mean = std::exp(logarithms / static_cast<double>(ratios.size()));
      std::printf("golden %s %s: geometric mean of the ratios %.3f\n", golden_.label().c_str(),
                  quantity.c_str(), mean);
      EXPECT_LE(mean, kMaxMeanRatio) << golden_.label() << " " << quantity;
    }
  }

 private:
  const GoldenCase& golden_;
  std::map<std::string, std::vector<double>> ratios_;
};

class Bf16Golden : public testing::TestWithParam<const char*> {
 protected:
  Bf16Golden()
      : checkpoint_(GetParam(), StoredDtype::kBf16), ops_(make_golden_ops(at::kBFloat16)) {}

  GoldenCase golden(const std::string& stage) {
    for (const GoldenCase& entry : golden_cases(GetParam(), "bf16")) {
      if (entry.params().at("stage") == stage) return entry;
    }
    throw std::runtime_error(std::string(GetParam()) + " has no bf16 case " + stage);
  }
  // The ids of a prompt that some fp32 case stores.
  at::Tensor ids_of(const std::string& prompt) {
    for (const GoldenCase& entry : golden_cases(GetParam(), "text")) {
      if (entry.params().at("prompt") == prompt) return entry.output("ids");
    }
    for (const GoldenCase& entry : golden_cases(GetParam(), "pipeline")) {
      if (entry.params().at("prompt") == prompt) return entry.output("prompt_ids");
      if (entry.params().at("negative_prompt") == prompt)
        return entry.output("negative_prompt_ids");
    }
    throw std::runtime_error("no golden case stores the ids of: " + prompt);
  }

  TinyCheckpoint checkpoint_;
  std::unique_ptr<Ops> ops_;
};

TEST_P(Bf16Golden, TextStatesAreAsCloseToFp32AsDiffusers) {
  const GoldenCase text = golden("text");
  Bf16Ratios ratios(text);
  for (const auto& [seed, prompt] : text.params().at("prompts").items()) {
    const at::Tensor states = encode_ids(*checkpoint_, ids_of(prompt), at::kBFloat16, *ops_);
    ratios.add("states." + seed, states.unsqueeze(0));
  }
  ratios.check_means();
}

TEST_P(Bf16Golden, PredictionsAreAsCloseToFp32AsDiffusers) {
  const GoldenCase prediction = golden("transformer");
  Bf16Ratios ratios(prediction);
  Transformer transformer = load_transformer(*checkpoint_, at::kBFloat16, *ops_);
  IdentityExchange exchange;
  for (int seed = 1; seed <= 5; ++seed) {
    const std::string suffix = std::string(".").append(std::to_string(seed));
    const at::Tensor sample = transformer.forward(
        prediction.input("hidden_states" + suffix).squeeze(0).to(at::kBFloat16),
        prediction.input("encoder_hidden_states" + suffix).squeeze(0).to(at::kBFloat16),
        prediction.params().at("timestep"), exchange);
    ratios.add("sample" + suffix, sample.unsqueeze(0));
  }
  ratios.check_means();
}

TEST_P(Bf16Golden, DecodedVideoIsAsCloseToFp32AsDiffusers) {
  const GoldenCase video = golden("vae");
  Bf16Ratios ratios(video);
  const VaeDecoder decoder = load_vae(*checkpoint_, at::kBFloat16, *ops_);
  for (int seed = 1; seed <= 5; ++seed) {
    const std::string suffix = std::string(".").append(std::to_string(seed));
    const at::Tensor z = video.input("z" + suffix).to(at::kBFloat16);
    ratios.add("sample" + suffix, decode_video(*checkpoint_, decoder, z, /*tiling=*/false));
  }
  ratios.check_means();
}

TEST_P(Bf16Golden, LatentsAreAsCloseToFp32AsDiffusers) {
  const GoldenCase run = golden("pipeline");
  Bf16Ratios ratios(run);
  Transformer transformer = load_transformer(*checkpoint_, at::kBFloat16, *ops_);
  const auto states_of = [&](const char* prompt) {
    return encode_ids(*checkpoint_, ids_of(run.params().at(prompt)), at::kBFloat16, *ops_);
  };
  const TextStates text{.prompt = states_of("prompt"), .negative = states_of("negative_prompt")};
  for (const uint64_t seed : run.params().at("seeds")) {
    const Request request = golden_request(*checkpoint_, run.params(), seed, at::kBFloat16);
    const DenoisedLatents latents = run_denoise(request, *checkpoint_, transformer, text);
    ratios.add("latents.1." + std::to_string(seed), latents.first);
    ratios.add("latents.final." + std::to_string(seed), latents.final);
  }
  ratios.check_means();
}

INSTANTIATE_TEST_SUITE_P(Tiny, Bf16Golden, testing::Values("tiny-2b", "tiny-5b"));

}  // namespace
}  // namespace cogvx

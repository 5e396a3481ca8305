#include "core/weights/lora.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/golden.h"
#include "tests/support/test_paths.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {
namespace {

using nlohmann::json;

class FusedWeights : public testing::TestWithParam<GoldenCase> {
 protected:
  FusedWeights() {
    write_tiny_checkpoint(golden_recipe(params().at("checkpoint")), folder_.path());
  }
  const json& params() const { return GetParam().params(); }
  WeightMap map_weights() const {
    return {folder_.path() / "transformer", "diffusion_pytorch_model"};
  }
  LoraAdapter open(const json& adapter) const {
    return {source_dir() / "tests" / "goldens" / adapter.at("file").get<std::string>(),
            map_weights().shapes()};
  }

 private:
  TemporaryFolder folder_;
};

TEST_P(FusedWeights, EqualDiffusers) {
  ThreadPool pool(3);
  std::vector<ScaledLora> loras;
  for (const json& adapter : params().at("adapters")) {
    const double scale =
        adapter.at("weight").get<double>() * params().at("lora_scale").get<double>();
    loras.push_back({open(adapter), scale});
  }
  WeightMap plain = map_weights(), fused = map_weights();
  fused.set_patch(fuse_loras(std::move(loras), pool));
  const bool bf16 = params().at("dtype") == "bf16";
  const at::ScalarType dtype = bf16 ? at::kBFloat16 : at::kFloat;
  for (const auto& [name, shape] : plain.shapes()) {
    const at::Tensor weight = fused.take(name, shape, dtype);
    if (!GetParam().has_output(name)) {
      EXPECT_TRUE(same_bytes(weight, plain.take(name, shape, dtype))) << name << " is not touched";
    } else if (bf16) {
      const at::Tensor stored = weight.to(at::kFloat);
      EXPECT_TRUE(same_bytes(GetParam().same_part(name, stored), GetParam().output(name))) << name;
    } else {
      EXPECT_TRUE(agrees(GetParam(), name, weight, {.max_abs = 1e-5, .relative_l2 = 1e-6}));
    }
  }
}

TEST_P(FusedWeights, FactorsAndUnmatchedKeysAreTheFiles) {
  for (const json& adapter : params().at("adapters")) {
    const LoraAdapter lora = open(adapter);
    std::map<std::string, double> factors;
    for (const LoraPair& pair : lora.pairs())
      factors[pair.weight.substr(0, pair.weight.rfind('.'))] = pair.alpha_over_rank;
    const auto wanted = adapter.at("alpha_over_rank").get<std::map<std::string, double>>();
    EXPECT_EQ(factors, wanted);
    EXPECT_THAT(lora.unmatched(), testing::UnorderedElementsAreArray(
                                      adapter.at("unmatched").get<std::vector<std::string>>()));
  }
}

INSTANTIATE_TEST_SUITE_P(Lora, FusedWeights, testing::ValuesIn(golden_cases("lora", "fused")),
                         [](const auto& test) {
                           std::string name = test.param.name();
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace cogvx::test

#include "core/weights/lora.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/core/weights/written_tensors.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;

// A model of two linear layers and a convolution of patches.
const TensorShapes kModel{{"transformer_blocks.0.attn1.to_q.weight", {6, 4}},
                          {"transformer_blocks.0.attn1.to_q.bias", {6}},
                          {"transformer_blocks.0.attn1.to_out.0.weight", {6, 4}},
                          {"patch_embed.proj.weight", {6, 3, 2, 2}},
                          {"norm_final.weight", {6}}};
const std::string kToQ = "transformer_blocks.0.attn1.to_q.weight";
const std::string kToQKey = "transformer.transformer_blocks.0.attn1.to_q";

at::Tensor numbers(at::IntArrayRef shape, double offset = 0) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return ((at::arange(count, at::kFloat) * 0.7 + offset).sin() * 0.5).view(shape);
}

Tensors pair(const std::string& a_key, const std::string& b_key, int64_t rank = 2) {
  return {{a_key, numbers({rank, 4})}, {b_key, numbers({6, rank}, 1)}};
}

Tensors peft_pair(int64_t rank = 2) {
  return pair(kToQKey + ".lora_A.weight", kToQKey + ".lora_B.weight", rank);
}

class Lora : public testing::Test {
 protected:
  LoraAdapter open(const Tensors& tensors,
                   const std::map<std::string, std::string>& metadata = {}) {
    write_tensors(file_, tensors, metadata);
    return {file_, kModel};
  }
  std::string open_error(const Tensors& tensors,
                         const std::map<std::string, std::string>& metadata = {}) {
    return data_error([&] { open(tensors, metadata); });
  }
  double factor(const Tensors& tensors, const nlohmann::json& metadata = {}) {
    std::map<std::string, std::string> text;
    if (!metadata.is_null()) text["lora_adapter_metadata"] = metadata.dump();
    return open(tensors, text).pairs().at(0).alpha_over_rank;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "a.safetensors";
};

TEST_F(Lora, EveryNamingMeansTheSame) {
  const std::string old = "transformer.transformer_blocks.0.attn1.";
  const std::vector<std::pair<std::string, Tensors>> namings{
      {"PEFT's prefix",
       pair("base_model.model." + kToQ.substr(0, kToQ.size() - 7) + ".lora_A.weight",
            "base_model.model." + kToQ.substr(0, kToQ.size() - 7) + ".lora_B.weight")},
      {"no prefix", pair("transformer_blocks.0.attn1.to_q.lora_A.weight",
                         "transformer_blocks.0.attn1.to_q.lora_B.weight")},
      {"down and up", pair(kToQKey + ".lora.down.weight", kToQKey + ".lora.up.weight")},
      {"to_q_lora", pair(old + "to_q_lora.down.weight", old + "to_q_lora.up.weight")},
      {"processors",
       pair(old + "processor.to_q_lora.down.weight", old + "processor.to_q_lora.up.weight")},
      {"kohya", pair("lora_unet__transformer_blocks_0_attn1_to_q.lora_down.weight",
                     "lora_unet__transformer_blocks_0_attn1_to_q.lora_up.weight")},
      {"kohya with one dash", pair("lora_unet_transformer_blocks_0_attn1_to_q.lora_down.weight",
                                   "lora_unet_transformer_blocks_0_attn1_to_q.lora_up.weight")}};
  const std::string wanted = open(peft_pair()).content_sha256();
  for (const auto& [name, tensors] : namings) {
    const LoraAdapter lora = open(tensors);
    ASSERT_EQ(lora.pairs().size(), 1U) << name;
    EXPECT_EQ(lora.pairs()[0].weight, kToQ) << name;
    EXPECT_EQ(lora.content_sha256(), wanted) << name << ": the content is the same";
  }
}

TEST_F(Lora, SatNamesAreThirdsAndTheOutputWithAlphaOne) {
  const std::string layer = "model.diffusion_model.transformer.layers.0.attention.";
  const LoraAdapter lora = open({{layer + "query_key_value.matrix_A.0", numbers({2, 4})},
                                 {layer + "query_key_value.matrix_B.0", numbers({6, 2})},
                                 {layer + "dense.matrix_A.0", numbers({4, 4})},
                                 {layer + "dense.matrix_B.0", numbers({6, 4})},
                                 {layer + "dense.matrix_B.1", numbers({6, 4})},
                                 {layer + "dense.matrix_C.0", numbers({6, 4})}});
  ASSERT_EQ(lora.pairs().size(), 2U);
  EXPECT_EQ(lora.pairs()[0].weight, "transformer_blocks.0.attn1.to_out.0.weight");
  EXPECT_EQ(lora.pairs()[0].alpha_over_rank, 0.25);
  EXPECT_EQ(lora.pairs()[1].weight, kToQ);
  EXPECT_EQ(lora.pairs()[1].alpha_over_rank, 0.5);
  EXPECT_THAT(lora.unmatched(),
              ElementsAre(layer + "dense.matrix_B.1", layer + "dense.matrix_C.0"));
}

TEST_F(Lora, AlphaIsTheKeysThenTheMetadatasThenTheRank) {
  using nlohmann::json;
  EXPECT_EQ(factor(peft_pair()), 1);
  const json metadata{{"transformer.lora_alpha", 5}, {"transformer.r", 2}};
  EXPECT_EQ(factor(peft_pair(), metadata), 2.5);
  for (const at::ScalarType dtype :
       {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong}) {
    Tensors tensors = peft_pair();
    tensors.emplace_back(kToQKey + ".alpha", at::full({}, 3, dtype));
    EXPECT_EQ(factor(tensors), 1.5) << dtype;
    EXPECT_EQ(factor(tensors, metadata), 1.5) << "the key is nearer";
  }
  json other = metadata;
  other["transformer.alpha_pattern"] = {{"to_k", 7}, {"attn1.to_q", 9}};
  EXPECT_EQ(factor(peft_pair(), other), 4.5) << "the end of a name matches";
  other["transformer.alpha_pattern"] = {{"n1.to_q", 9}};
  EXPECT_EQ(factor(peft_pair(), other), 2.5) << "only whole parts of it";
  other["transformer.alpha_pattern"] = {{"^attn1.to_q", 9}};
  EXPECT_EQ(factor(peft_pair(), other), 2.5) << "^ is the start";
  other["transformer.use_rslora"] = true;
  EXPECT_EQ(factor(peft_pair(), other), 5 / std::sqrt(2.0));
  EXPECT_EQ(factor(peft_pair(), {{"text_encoder.lora_alpha", 5}}), 1) << "another component's";
}

TEST_F(Lora, WhatFitsNoLayerIsListedInFileOrder) {
  Tensors tensors = peft_pair();
  const Tensors more{{"transformer.transformer_blocks.7.attn1.to_q.lora_A.weight", numbers({2, 4})},
                     {kToQKey + ".dora_scale", numbers({1})},
                     {"transformer.patch_embed.proj.alpha", numbers({1})},
                     {"lora_te_q.lora_down.weight", numbers({1})},
                     {"transformer_blocks.0.attn1.to_q.lora_A.weight", numbers({2, 4})}};
  tensors.insert(tensors.end(), more.begin(), more.end());
  EXPECT_THAT(open(tensors).unmatched(),
              testing::UnorderedElementsAre(more[0].first, more[1].first, more[2].first,
                                            more[3].first, more[4].first));
}

TEST_F(Lora, AFileThatFitsNothingIsRefusedByItsFirstKey) {
  EXPECT_THAT(open_error({{"lora_te_q.lora_down.weight", numbers({2, 4})}, {"x", numbers({1})}}),
              testing::AllOf(HasSubstr("none of its 2 keys names a layer of this model, the first "
                                       "is 'lora_te_q.lora_down.weight'; wanted keys like"),
                             HasSubstr("is this a LoRA of CogVideoX?")));
  EXPECT_THAT(open_error({}), HasSubstr("it holds no tensors"));
}

TEST_F(Lora, AnotherModelsAdapterIsRefusedByNameWithBothShapes) {
  Tensors wide = peft_pair();
  wide[0].second = numbers({2, 5});
  EXPECT_THAT(open_error(wide), HasSubstr("'" + kToQKey +
                                          ".lora_A.weight' is [2,5], wanted [rank,4] for this "
                                          "model's '" +
                                          kToQ + "' [6,4]; was this LoRA made for another model?"));
  Tensors high = peft_pair();
  high[1].second = numbers({7, 2});
  EXPECT_THAT(open_error(high), HasSubstr(".lora_B.weight' is [7,2], wanted [6,2]"));
  Tensors ranks = peft_pair();
  ranks[1].second = numbers({6, 3});
  EXPECT_THAT(open_error(ranks), HasSubstr(".lora_B.weight' is [6,3], wanted [6,2]"));
  Tensors none = peft_pair();
  none[0].second = numbers({0, 4});
  EXPECT_THAT(open_error(none), HasSubstr("is [0,4], wanted [rank,4]"));
  EXPECT_THAT(open_error({{"transformer.norm_final.lora_A.weight", numbers({2, 1})},
                          {"transformer.norm_final.lora_B.weight", numbers({6, 2})}}),
              HasSubstr("'norm_final.weight' [6]"));
}

TEST_F(Lora, HalvesAndDoublesAreDataErrors) {
  Tensors half = peft_pair();
  half.pop_back();
  EXPECT_THAT(open_error(half), HasSubstr(".lora_A.weight' has no B beside it"));
  Tensors twice = peft_pair();
  twice.emplace_back(kToQKey + ".lora.down.weight", numbers({2, 4}));
  EXPECT_THAT(open_error(twice), HasSubstr("mean the same"));
}

TEST_F(Lora, BadNumbersAreDataErrors) {
  Tensors tensors = peft_pair();
  tensors[1].second[3][1] = std::nan("");
  EXPECT_THAT(open_error(tensors), HasSubstr(".lora_B.weight' holds 1 NaN"));
  tensors = peft_pair();
  tensors[0].second = tensors[0].second.to(at::kDouble);
  EXPECT_THAT(open_error(tensors), HasSubstr(".lora_A.weight' is F64, wanted F32, F16 or BF16"));
  tensors = peft_pair();
  tensors.emplace_back(kToQKey + ".alpha", at::full({}, std::nan("")).to(at::kFloat));
  EXPECT_THAT(open_error(tensors), HasSubstr(".alpha' is not finite, wanted one finite number"));
  tensors.back().second = numbers({2});
  EXPECT_THAT(open_error(tensors), HasSubstr(".alpha' is [2], wanted one finite number"));
}

TEST_F(Lora, BadMetadataIsADataError) {
  const auto error = [&](const std::string& text) {
    return open_error(peft_pair(), {{"lora_adapter_metadata", text}});
  };
  EXPECT_THAT(error("{"), HasSubstr("metadata lora_adapter_metadata"));
  EXPECT_THAT(error(R"({"transformer.r": 2})"), HasSubstr("'transformer.lora_alpha' is missing"));
  EXPECT_THAT(error(R"({"transformer.lora_alpha": "5"})"), HasSubstr("wanted a number"));
  const auto pattern_error = [&](const nlohmann::json& patterns) {
    return error(nlohmann::json{
        {"transformer.lora_alpha", 5},
        {"transformer.alpha_pattern",
         patterns}}.dump());
  };
  EXPECT_THAT(pattern_error(3), HasSubstr("wanted an object"));
  EXPECT_THAT(pattern_error({{"to_(q|k)", 5}}), HasSubstr("wanted plain names of layers"));
  EXPECT_THAT(pattern_error({{"to_q", nullptr}}), HasSubstr("wanted finite numbers"));
}

TEST_F(Lora, AConvolutionsChangeIsTheProductOverItsPatches) {
  const at::Tensor a = numbers({2, 3, 2, 2}), b = numbers({6, 2, 1, 1}, 3);
  const LoraAdapter lora = open({{"transformer.patch_embed.proj.lora_A.weight", a},
                                 {"transformer.patch_embed.proj.lora_B.weight", b}});
  ThreadPool pool(1);
  at::Tensor weight = numbers({6, 3, 2, 2}, 5);
  const at::Tensor wanted = weight + at::einsum("orab,rcyx->ocyx", {b, a}) * 0.5;
  lora.fuse("patch_embed.proj.weight", 0.5, weight, pool);
  EXPECT_LT((weight - wanted).abs().max().item<float>(), 1e-6);
}

TEST_F(Lora, TheContentHashKnowsNumbersFactorsAndPlaces) {
  const std::string hash = open(peft_pair()).content_sha256();
  EXPECT_EQ(hash.size(), 64U);
  Tensors other = peft_pair();
  other[0].second[1][1] = 9;
  EXPECT_NE(open(other).content_sha256(), hash);
  other = peft_pair();
  other.emplace_back(kToQKey + ".alpha", at::full({}, 3.0F));
  EXPECT_NE(open(other).content_sha256(), hash);
  const std::string out = "transformer.transformer_blocks.0.attn1.to_out.0";
  EXPECT_NE(open(pair(out + ".lora_A.weight", out + ".lora_B.weight")).content_sha256(), hash);
}

// 65 rows leave one of them to the last unit, where a product takes another kernel.
TEST(LoraUnits, BytesDoNotDependOnThreads) {
  const TemporaryFolder folder;
  const TensorShapes model{{"x.weight", {65, 96}}};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    write_tensors(folder / "a", {{"transformer.x.lora_A.weight", numbers({256, 96}).to(dtype)},
                                 {"transformer.x.lora_B.weight", numbers({65, 256}, 2).to(dtype)}});
    const LoraAdapter lora(folder / "a", model);
    at::Tensor wanted;
    for (const int threads : {1, 2, 3, 5}) {
      ThreadPool pool(threads);
      at::Tensor weight = numbers({65, 96}, 4).to(dtype);
      lora.fuse("x.weight", 0.3, weight, pool);
      if (!wanted.defined()) wanted = weight;
      EXPECT_TRUE(same_bytes(weight, wanted)) << dtype << " " << threads;
    }
  }
}

TEST(LoraUnits, AdaptersAreFusedInTheirOrder) {
  const TemporaryFolder folder;
  const TensorShapes model{{"x.weight", {6, 4}}};
  const auto write = [&](const char* name, double offset) {
    write_tensors(folder / name, {{"transformer.x.lora_A.weight", numbers({2, 4}, offset)},
                                  {"transformer.x.lora_B.weight", numbers({6, 2}, offset + 1)}});
    return LoraAdapter(folder / name, model);
  };
  ThreadPool pool(1);
  at::Tensor both = numbers({6, 4}).to(at::kBFloat16), one_by_one = both.clone();
  write("a", 1).fuse("x.weight", 0.7, one_by_one, pool);
  write("b", 2).fuse("x.weight", -0.2, one_by_one, pool);
  std::vector<ScaledLora> loras;
  loras.push_back({write("a", 1), 0.7});
  loras.push_back({write("b", 2), -0.2});
  fuse_loras(std::move(loras), pool)("x.weight", both);
  EXPECT_TRUE(same_bytes(both, one_by_one));
}

}  // namespace
}  // namespace cogvx

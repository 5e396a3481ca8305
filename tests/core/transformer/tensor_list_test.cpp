#include "core/transformer/tensor_list.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/pipeline/component_sizes.h"
#include "core/weights/config.h"
#include "core/weights/weight_map.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"

// Names and shapes of the published models.
namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;

constexpr const char* kStem = "diffusion_pytorch_model";

// transformer/config.json as published, defaults left out.
json published(const std::string& kind) {
  json config = {
      {"num_layers", 42}, {"num_attention_heads", 48}, {"use_rotary_positional_embeddings", true}};
  if (kind.ends_with("2b")) config = json::object();
  if (kind.starts_with("1.5")) {
    config.update({{"patch_size_t", 2}, {"patch_bias", false}, {"sample_frames", 81}});
    config.update({{"sample_height", 300}, {"sample_width", 300}});
  }
  if (kind == "1.5-i2v") config["ofs_embed_dim"] = 512;
  if (kind == "5b-i2v") config["use_learned_positional_embeddings"] = true;
  if (kind.ends_with("i2v") || kind.starts_with("fun")) config["in_channels"] = 32;
  return config;
}

// What a published file of the kind holds, from the specification's table (section 3.1).
class PublishedTensors {
 public:
  explicit PublishedTensors(const std::string& kind)
      : width_(kind.ends_with("2b") ? 1920 : 3072), layers_(kind.ends_with("2b") ? 30 : 42) {
    const bool is_1_5 = kind.starts_with("1.5");
    const int64_t channels = kind.ends_with("i2v") || kind.starts_with("fun") ? 32 : 16;
    if (is_1_5) {
      shapes_["patch_embed.proj.weight"] = {width_, channels * 2 * 2 * 2};
    } else {
      shapes_["patch_embed.proj.weight"] = {width_, channels, 2, 2};
    }
    shapes_["patch_embed.proj.bias"] = {width_};
    pair("patch_embed.text_proj", {width_, 4096});
    pair("time_embedding.linear_1", {512, width_});
    pair("time_embedding.linear_2", {512, 512});
    pair("proj_out", {is_1_5 ? 128 : 64, width_});
    for (const char* part : {"linear_1", "linear_2"}) {
      if (kind == "1.5-i2v") pair("ofs_embedding." + std::string(part), {512, 512});
    }
    if (kind == "5b-i2v") shapes_["patch_embed.pos_embedding"] = {1, 17776, 3072};
    pair("norm_final", {width_});
    pair("norm_out.linear", {2 * width_, 512});
    pair("norm_out.norm", {width_});
    for (int64_t i = 0; i < layers_; ++i) block("transformer_blocks." + std::to_string(i) + ".");
  }
  const TensorShapes& shapes() const { return shapes_; }

 private:
  void pair(const std::string& name, const std::vector<int64_t>& shape) {
    shapes_[name + ".weight"] = shape;
    shapes_[name + ".bias"] = {shape[0]};
  }
  void block(const std::string& name) {
    for (const char* part : {"to_q", "to_k", "to_v", "to_out.0"})
      pair(name + "attn1." + part, {width_, width_});
    for (const char* part : {"norm_q", "norm_k"}) pair(name + "attn1." + part, {64});
    for (const char* part : {"norm1", "norm2"}) {
      pair(name + part + ".linear", {6 * width_, 512});
      pair(name + part + ".norm", {width_});
    }
    pair(name + "ff.net.0.proj", {4 * width_, width_});
    pair(name + "ff.net.2", {width_, 4 * width_});
  }

  int64_t width_;
  int64_t layers_;
  TensorShapes shapes_;
};

// Names, shapes and a hole where 3 to 11 GB of data would be.
void write_header(const TemporaryFolder& folder, const TensorShapes& shapes) {
  std::vector<StoredTensor> stored;
  int64_t elements = 0;
  for (const auto& [name, shape] : shapes) {
    stored.push_back({name, "BF16", shape});
    elements += c10::multiply_integers(shape);
  }
  const std::string prefix = safetensors_prefix(stored, {});
  const std::filesystem::path path = folder / (std::string(kStem) + ".safetensors");
  std::ofstream(path, std::ios::binary) << prefix;
  std::filesystem::resize_file(path, prefix.size() + 2 * static_cast<size_t>(elements));
}

struct Counts {
  const char* kind;
  size_t tensors;
  int64_t parameters;
};

class PublishedTransformer : public testing::TestWithParam<Counts> {};

TEST_P(PublishedTransformer, HasTheTensorsOfTheSpecification) {
  const auto& [kind, tensors, parameters] = GetParam();
  const TransformerConfig config = parse_transformer_config(published(kind), kind);
  const TensorShapes listed = transformer_tensors(config);
  EXPECT_EQ(listed.size(), tensors);
  EXPECT_EQ(transformer_parameters(config), parameters);
  EXPECT_EQ(listed, PublishedTensors(kind).shapes());
}

TEST_P(PublishedTransformer, HasNothingInItsFileThatIsNotListed) {
  const char* kind = GetParam().kind;
  const TemporaryFolder folder;
  write_header(folder, PublishedTensors(kind).shapes());
  WeightMap weights(folder.path(), kStem);
  EXPECT_EQ(weights.stored_dtype(), "BF16");
  for (const auto& [name, shape] :
       transformer_tensors(parse_transformer_config(published(kind), kind))) {
    EXPECT_TRUE(weights.contains(name)) << name;
    weights.ignore(name);
  }
  EXPECT_NO_THROW(weights.finish());
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, PublishedTransformer,
    testing::Values(Counts{"2b", 736, 1'693'783'872}, Counts{"5b", 1024, 5'570'283'072},
                    Counts{"5b-i2v", 1025, 5'570'479'680 + 54'607'872},
                    Counts{"1.5", 1024, 5'570'676'352}, Counts{"1.5-i2v", 1028, 5'571'594'880},
                    Counts{"fun-2b", 736, 1'693'906'752}, Counts{"fun-5b", 1024, 5'570'479'680}),
    [](const auto& instance) {
      std::string name = instance.param.kind;
      std::erase_if(name, [](char c) { return c == '.' || c == '-'; });
      return "Of" + name;
    });

}  // namespace
}  // namespace cogvx

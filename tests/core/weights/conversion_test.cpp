#include "core/weights/conversion_plan.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/transformer/tensor_list.h"
#include "core/weights/expected_tensors.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

TensorShapes recipe_shapes(const json& recipe, const char* component) {
  TensorShapes shapes;
  for (const auto& [name, tensor] : recipe.at("tensors").at(component).items())
    shapes[name] = tensor.at("shape").get<std::vector<int64_t>>();
  return shapes;
}

TensorShapes transformer_of(const json& config) {
  return transformer_tensors(parse_transformer_config(config, "config"));
}

class ExpectedTensors : public testing::TestWithParam<const char*> {};

TEST_P(ExpectedTensors, AreDiffusers) {
  const json recipe = read_json(golden_recipe(GetParam()));
  const json& configs = recipe.at("configs");
  EXPECT_EQ(transformer_of(configs.at("transformer")), recipe_shapes(recipe, "transformer"));
  EXPECT_EQ(vae_tensors(parse_vae_config(configs.at("vae"), "")), recipe_shapes(recipe, "vae"));
  EXPECT_EQ(t5_tensors(parse_t5_config(configs.at("text_encoder"), "")),
            recipe_shapes(recipe, "text_encoder"));
}

INSTANTIATE_TEST_SUITE_P(Tiny, ExpectedTensors,
                         testing::Values("tiny-2b", "tiny-5b", "tiny-30x16", "tiny-5b-i2v",
                                         "tiny-1.5", "tiny-1.5-i2v", "tiny-fun-2b", "tiny-fun-5b"));

int64_t parameters(const TensorShapes& shapes) {
  int64_t sum = 0;
  for (const auto& [name, shape] : shapes) {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    sum += count;
  }
  return sum;
}

// What the specification's tables say of the published checkpoints.
TEST(ExpectedTensorsOfRealModels, HaveTheirCountsAndParameters) {
  const json table = read_json(source_dir() / "configs" / "checkpoint_configs.json");
  const std::map<std::string, std::pair<size_t, int64_t>> wanted{
      {"cogvideox-2b", {736, 1'693'783'872}},
      {"cogvideox-5b", {1024, 5'570'283'072}},
      {"cogvideox-5b-i2v", {1025, 5'570'479'680 + 54'607'872}},
      {"cogvideox-1.5-5b", {1024, 5'570'676'352}},
      {"cogvideox-1.5-5b-i2v", {1028, 5'571'594'880}}};
  ASSERT_EQ(table.at("kinds").size(), wanted.size());
  for (const auto& [kind, configs] : table.at("kinds").items()) {
    json transformer = table.at("common").at("transformer");
    transformer.update(configs.at("transformer"));
    const TensorShapes shapes = transformer_of(transformer);
    EXPECT_EQ(shapes.size(), wanted.at(kind).first) << kind;
    EXPECT_EQ(parameters(shapes), wanted.at(kind).second) << kind;
  }
  const TensorShapes t5 = t5_tensors(T5Config{});
  EXPECT_EQ(t5.size(), 219U);
  EXPECT_EQ(parameters(t5), 4'762'310'656);
  EXPECT_EQ(vae_tensors(VaeConfig{}).size(), 436U);
  // A control model of the 1.0 family has 32 channels in, and learned positions only by its config.
  TransformerConfig fun{.num_layers = 30, .num_attention_heads = 30, .in_channels = 32};
  EXPECT_EQ(parameters(transformer_tensors(fun)), 1'693'906'752);
}

// A source of shapes alone, whose numbers are each tensor's own count from 0.
class Shapes : public TensorSource {
 public:
  void add(const std::string& name, std::vector<int64_t> shape, const std::string& dtype = "F32") {
    tensors_.push_back({name, dtype, std::move(shape)});
  }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  at::Tensor read_rows(size_t, RowRange) const override { return {}; }
  std::string label(size_t) const override { return "file"; }

 private:
  std::vector<SourceTensor> tensors_;
};

struct SatTable {
  Shapes source;
  TensorShapes wanted;
  // diffusers' tensor -> SAT's tensors and rows, in order
  std::map<std::string, std::vector<std::pair<std::string, RowRange>>> rows;
  bool learned = false;
};

SatTable read_sat_table(const char* component, const std::string& variant) {
  const json table =
      read_json(source_dir() / "tests" / "goldens" / "sat_names.json").at(component).at(variant);
  const json recipe = read_json(golden_recipe(table.at("checkpoint")));
  SatTable found;
  found.wanted = recipe_shapes(recipe, component);
  found.learned = found.wanted.contains("patch_embed.pos_embedding");
  std::map<std::string, std::map<int64_t, std::pair<std::string, RowRange>>> chunks;
  for (const json& entry : table.at("entries")) {
    const std::string sat = entry.at("sat");
    found.source.add(sat, entry.at("shape"));
    int64_t row = 0;
    for (const json& chunk : entry.at("chunks")) {
      const std::string name = chunk.at(0);
      const int64_t rows = row_count(found.wanted.at(name)) / chunk.at(2).get<int64_t>();
      chunks[name][chunk.at(1)] = {sat, {row, row + rows}};
      row += rows;
    }
  }
  for (const json& entry : table.at("dropped"))
    found.source.add(entry.at("sat"), entry.at("shape"));
  for (const auto& [name, parts] : chunks) {
    for (const auto& [k, part] : parts) {
      auto& rows = found.rows[name];
      if (!rows.empty() && rows.back().first == part.first &&
          rows.back().second.end == part.second.begin) {
        rows.back().second.end = part.second.end;
      } else {
        rows.push_back(part);
      }
    }
  }
  return found;
}

void expect_plan(const SatTable& table, const SourceNaming& naming) {
  const auto plan = plan_tensors(table.source, table.wanted, naming, "file");
  ASSERT_EQ(plan.size(), table.wanted.size());
  for (const PlannedTensor& tensor : plan) {
    EXPECT_EQ(tensor.shape, table.wanted.at(tensor.name));
    std::vector<std::pair<std::string, RowRange>> rows;
    for (const TensorPart& part : tensor.parts)
      rows.emplace_back(table.source.tensors()[part.source].name, part.rows);
    EXPECT_EQ(rows, table.rows.at(tensor.name)) << tensor.name;
  }
}

TEST(SatNames, OfTransformersAreTheTables) {
  for (const char* variant :
       {"tiny-2b", "tiny-2b-linear", "tiny-5b", "tiny-5b-i2v", "tiny-1.5", "tiny-1.5-i2v"}) {
    const SatTable table = read_sat_table("transformer", variant);
    expect_plan(table, sat_transformer_naming(table.learned));
  }
}

TEST(SatNames, OfVaesAreTheTables) {
  for (const char* variant : {"tiny-2b", "tiny-5b"})
    expect_plan(read_sat_table("vae", variant), sat_vae_naming());
}

class Plan : public testing::Test {
 protected:
  std::string error() {
    return data_error([&] { plan_tensors(source_, wanted_, naming_, "label"); });
  }
  Shapes source_;
  TensorShapes wanted_{{"a", {2, 3}}, {"b", {4}}};
  SourceNaming naming_ = diffusers_naming();
};

TEST_F(Plan, MissingAndUnknownTensorsAreNamed) {
  source_.add("a", {2, 3});
  EXPECT_EQ(error(),
            "label: 1 tensors are missing: 'b'; is it complete, and of this kind (--kind)?");
  source_.add("b", {4});
  EXPECT_EQ(error(), "");
  source_.add("c", {1});
  EXPECT_EQ(error(), "label: 1 tensors are unknown: 'c'; is it of another kind (--kind)?");
}

TEST_F(Plan, ShapesAndDtypesMustFit) {
  source_.add("b", {4});
  source_.add("a", {3, 2});
  EXPECT_THAT(error(), HasSubstr("file: tensor 'a' is [3,2], of which 1 of 1 parts are to be 'a' "
                                 "[2,3]; is it of another kind"));
  source_ = Shapes();
  source_.add("a", {2, 3}, "I64");
  EXPECT_THAT(error(), HasSubstr("tensor 'a' is I64, wanted F32, F16 or BF16"));
}

TEST_F(Plan, AFlatPatchProjectionIsTheConvolution) {
  wanted_ = {{"patch", {8, 3, 2, 2}}};
  source_.add("patch", {8, 12});
  EXPECT_EQ(error(), "");
  source_ = Shapes();
  source_.add("patch", {8, 11});
  EXPECT_THAT(error(), HasSubstr("'patch' is [8,11]"));
}

TEST_F(Plan, ThePrefixOfSatMayStandBeforeSomeNames) {
  naming_.prefix = "model.";
  source_.add("model.a", {2, 3});
  source_.add("b", {4});
  EXPECT_EQ(error(), "");
  source_.add("a", {2, 3});
  EXPECT_THAT(error(), HasSubstr("'a' is there twice"));
}

TEST_F(Plan, WhatTrainedTheModelIsPassedOver) {
  naming_ = sat_transformer_naming(/*learned_positions=*/false);
  wanted_ = {{"a", {1}}};
  source_.add("a", {1});
  source_.add("model.diffusion_model.mixins.pos_embed.pos_embedding", {1, 2, 3});
  source_.add("model.diffusion_model.mixins.pos_embed.freqs_sin", {3});
  EXPECT_EQ(error(), "");
  naming_ = sat_transformer_naming(/*learned_positions=*/true);
  EXPECT_THAT(error(), HasSubstr("'mixins.pos_embed.pos_embedding'"));
}

}  // namespace
}  // namespace cogvx

#include "core/weights/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "core/weights/checkpoint.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/test_paths.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;

enum class Kind { kTransformer, kVae, kText, kScheduler };

void parse(Kind kind, const json& config) {
  switch (kind) {
    case Kind::kTransformer:
      parse_transformer_config(config, "the file");
      return;
    case Kind::kVae:
      parse_vae_config(config, "the file");
      return;
    case Kind::kText:
      parse_t5_config(config, "the file");
      return;
    case Kind::kScheduler:
      parse_scheduler_config(config, "the file");
      return;
  }
}

TEST(Config, AnEmptyObjectGivesDiffusersDefaults) {
  EXPECT_EQ(parse_transformer_config(json::object(), "c"), TransformerConfig{});
  EXPECT_EQ(parse_vae_config(json::object(), "c"), VaeConfig{});
  EXPECT_EQ(parse_t5_config(json::object(), "c"), T5Config{});
  EXPECT_EQ(parse_scheduler_config(json::object(), "c"), SchedulerConfig{});
}

TEST(Config, NullAndUnknownKeysChangeNothing) {
  EXPECT_EQ(parse_transformer_config(
                {{"patch_size_t", nullptr}, {"ofs_embed_dim", nullptr}, {"novelty", {1, 2}}}, "c"),
            TransformerConfig{});
}

TEST(Config, ValuesAreRead) {
  const TransformerConfig t = parse_transformer_config({{"num_attention_heads", 48},
                                                        {"num_layers", 42},
                                                        {"use_rotary_positional_embeddings", true},
                                                        {"norm_eps", 1e-4},
                                                        {"patch_size_t", 2},
                                                        {"patch_bias", false},
                                                        {"ofs_embed_dim", 512},
                                                        {"in_channels", 32}},
                                                       "c");
  EXPECT_EQ(t.width(), 3072);
  EXPECT_EQ(t.num_layers, 42);
  EXPECT_EQ(t.norm_eps, 1e-4);
  EXPECT_EQ(t.patch_size_t, 2);
  EXPECT_EQ(t.patch_elements(), 8);
  EXPECT_EQ(t.ofs_embed_dim, 512);
  EXPECT_EQ(t.in_channels, 32);
  EXPECT_TRUE(t.use_rotary_positional_embeddings);
  const SchedulerConfig s = parse_scheduler_config({{"_class_name", "CogVideoXDPMScheduler"},
                                                    {"timestep_spacing", "trailing"},
                                                    {"prediction_type", "v_prediction"},
                                                    {"rescale_betas_zero_snr", true}},
                                                   "c");
  EXPECT_EQ(s.kind, SchedulerKind::kDpm);
  EXPECT_EQ(s.timestep_spacing, TimestepSpacing::kTrailing);
  EXPECT_EQ(s.prediction_type, PredictionType::kVPrediction);
  EXPECT_TRUE(s.rescale_betas_zero_snr);
  EXPECT_EQ(parse_vae_config({{"block_out_channels", {8, 16, 16, 24}}, {"norm_num_groups", 4}}, "c")
                .block_out_channels,
            (std::vector<int64_t>{8, 16, 16, 24}));
}

TEST(Config, WrongTypesAndAbsurdNumbersAreDataErrorsThatNameTheKey) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::tuple<Kind, const char*, json>> bad{
      {Kind::kTransformer, "num_layers", "30"},
      {Kind::kTransformer, "num_layers", 0},
      {Kind::kTransformer, "num_layers", -1},
      {Kind::kTransformer, "num_layers", 2.5},
      {Kind::kTransformer, "num_layers", 1'000'000'000'000},
      {Kind::kTransformer, "num_layers", std::numeric_limits<uint64_t>::max()},
      {Kind::kTransformer, "num_attention_heads", json::array()},
      {Kind::kTransformer, "attention_head_dim", 63},
      {Kind::kTransformer, "attention_head_dim", 100000},
      {Kind::kTransformer, "patch_size", 0},
      {Kind::kTransformer, "patch_size_t", 1},
      {Kind::kTransformer, "patch_size_t", 0},
      {Kind::kTransformer, "patch_size_t", 4},
      {Kind::kTransformer, "patch_size_t", "2"},
      {Kind::kTransformer, "patch_bias", false},
      {Kind::kTransformer, "in_channels", 33},
      {Kind::kTransformer, "in_channels", 48},
      {Kind::kTransformer, "ofs_embed_dim", 256},
      {Kind::kTransformer, "ofs_embed_dim", -512},
      {Kind::kTransformer, "norm_eps", "small"},
      {Kind::kTransformer, "norm_eps", infinity},
      {Kind::kTransformer, "norm_eps", -1e-5},
      {Kind::kTransformer, "spatial_interpolation_scale", 0},
      {Kind::kTransformer, "use_rotary_positional_embeddings", 1},
      {Kind::kTransformer, "activation_fn", "gelu"},
      {Kind::kTransformer, "_class_name", "FluxTransformer2DModel"},
      {Kind::kVae, "block_out_channels", {128, 256}},
      {Kind::kVae, "block_out_channels", {128, 256, 256, "512"}},
      {Kind::kVae, "block_out_channels", {128, 256, 256, 0}},
      {Kind::kVae, "norm_num_groups", 7},
      {Kind::kVae, "scaling_factor", 0},
      {Kind::kVae, "temporal_compression_ratio", 8},
      {Kind::kVae, "use_quant_conv", true},
      {Kind::kVae, "latent_channels", true},
      {Kind::kText, "d_model", -4096},
      {Kind::kText, "feed_forward_proj", "relu"},
      {Kind::kText, "model_type", "umt5"},
      {Kind::kText, "relative_attention_num_buckets", 1},
      {Kind::kScheduler, "_class_name", "EulerDiscreteScheduler"},
      {Kind::kScheduler, "beta_schedule", "squaredcos_cap_v2"},
      {Kind::kScheduler, "prediction_type", 1},
      {Kind::kScheduler, "num_train_timesteps", 1},
      {Kind::kScheduler, "beta_start", -0.1},
      {Kind::kScheduler, "trained_betas", {0.1, 0.2}},
  };
  for (const auto& [kind, key, value] : bad) {
    const std::string error = data_error([&, k = kind, n = key, &v = value] {
      parse(k, json{{n, v}});
    });
    EXPECT_THAT(error, HasSubstr("the file: '" + std::string(key) + "'")) << value;
    EXPECT_THAT(error, HasSubstr("wanted")) << value;
  }
}

json patched(json config, const json& patch) {
  config.update(patch);
  return config;
}

// The published configs, but for depth and width, with keys that are not ours.
TEST(Config, EveryKindIsAccepted) {
  const json rotary = {{"use_rotary_positional_embeddings", true}, {"patch_bias", nullptr}};
  const json of_1_5 = patched(rotary, {{"patch_size_t", 2},
                                       {"patch_bias", false},
                                       {"use_learned_positional_embeddings", false},
                                       {"sample_height", 300},
                                       {"sample_width", 300},
                                       {"sample_frames", 81}});
  for (const json& config :
       {json::object(), rotary,
        patched(rotary, {{"in_channels", 32}, {"use_learned_positional_embeddings", true}}), of_1_5,
        patched(of_1_5, {{"in_channels", 32}, {"ofs_embed_dim", 512}}),
        json{{"in_channels", 32}, {"add_noise_in_inpaint_model", true}},
        patched(rotary, {{"in_channels", 32}})}) {
    EXPECT_EQ(data_error([&] { parse(Kind::kTransformer, config); }), "") << config;
  }
}

TEST(Config, TransformersThatNoPipelineRunsAreOneClearLine) {
  const auto error_of = [](const json& config) {
    return data_error([&] { parse(Kind::kTransformer, config); });
  };
  EXPECT_EQ(error_of({{"in_channels", 33}}),
            "the file: 'in_channels' is 33, wanted 16 (text-to-video) or 32 (image-to-video, "
            "control); inpainting models are not supported");
  EXPECT_EQ(error_of({{"ofs_embed_dim", 512}, {"time_embed_dim", 256}}),
            "the file: 'ofs_embed_dim' is 512, wanted 256, time_embed_dim: the two are added");
  EXPECT_EQ(error_of({{"ofs_embed_dim", 31}, {"time_embed_dim", 31}}),
            "the file: 'ofs_embed_dim' is 31, wanted an even number");
  EXPECT_EQ(error_of({{"use_learned_positional_embeddings", true}}),
            "the file: 'use_rotary_positional_embeddings' is missing, wanted true where "
            "use_learned_positional_embeddings is");
  EXPECT_EQ(error_of({{"patch_size_t", 2}, {"use_rotary_positional_embeddings", false}}),
            "the file: 'use_rotary_positional_embeddings' is false, wanted true where there is a "
            "patch_size_t");
  EXPECT_EQ(error_of({{"patch_size_t", 2},
                      {"use_rotary_positional_embeddings", true},
                      {"use_learned_positional_embeddings", true}}),
            "the file: 'use_learned_positional_embeddings' is true, wanted false where there is a "
            "patch_size_t");
}

// A table of less width than a head would be read past its end.
TEST(Config, WidthsThatPositionTablesCannotHaveAreDataErrors) {
  for (const int64_t width : {2, 8, 24, 40, 100}) {
    const std::string error = data_error([&] {
      parse(Kind::kTransformer,
            {{"use_rotary_positional_embeddings", true}, {"attention_head_dim", width}});
    });
    EXPECT_THAT(error, HasSubstr("'attention_head_dim' is " + std::to_string(width)));
  }
  EXPECT_THAT(data_error([&] {
                parse(Kind::kTransformer, {{"num_attention_heads", 3}, {"attention_head_dim", 8}});
              }),
              HasSubstr("'attention_head_dim' is 8"));
  EXPECT_NO_THROW(
      parse(Kind::kTransformer, {{"num_attention_heads", 4}, {"attention_head_dim", 8}}));
}

class CheckpointFolder : public testing::Test {
 protected:
  CheckpointFolder() {
    write_tiny_checkpoint(source_dir() / "tests" / "goldens" / "tiny-30x16.json", folder_.path());
    write_text(folder_.path() / "tokenizer" / "spiece.model", "");
  }
  std::string error() const {
    return data_error([&] { open_checkpoint(folder_.path()); });
  }
  void change(const std::string& file, const std::string& key, const json& value) const {
    json config = read_json_object(folder_.path() / file);
    config[key] = value;
    write_text(folder_.path() / file, config.dump());
  }
  TemporaryFolder folder_;
};

TEST_F(CheckpointFolder, OpensWithItsConfigs) {
  const Checkpoint checkpoint = open_checkpoint(folder_.path());
  EXPECT_EQ(checkpoint.pipeline_class, "CogVideoXPipeline");
  EXPECT_EQ(checkpoint.transformer.num_attention_heads, 30);
  EXPECT_EQ(checkpoint.transformer.attention_head_dim, 16);
  EXPECT_EQ(checkpoint.stored_dtype, "F32");
}

TEST_F(CheckpointFolder, NamesWhatIsMissing) {
  for (const char* file : {"tokenizer/spiece.model", "text_encoder/model.safetensors",
                           "vae/diffusion_pytorch_model.safetensors",
                           "scheduler/scheduler_config.json", "text_encoder/config.json",
                           "vae/config.json", "transformer/config.json", "model_index.json"}) {
    std::filesystem::remove(folder_.path() / file);
    EXPECT_THAT(error(), HasSubstr(file));
  }
  EXPECT_THAT(data_error([] { open_checkpoint("/nonexistent"); }), HasSubstr("/nonexistent"));
}

TEST_F(CheckpointFolder, ComponentsThatDoNotFitAreNamed) {
  change("text_encoder/config.json", "d_model", 64);
  EXPECT_THAT(error(), HasSubstr("text_embed_dim is 32, the text encoder's d_model is 64"));
}

TEST_F(CheckpointFolder, AnEndlessOrHugeConfigIsADataErrorAtOnce) {
  EXPECT_THAT(data_error([] { read_json_object("/dev/zero"); }),
              HasSubstr("/dev/zero: is not a regular file"));
  const std::filesystem::path config = folder_.path() / "vae" / "config.json";
  std::filesystem::resize_file(config, uintmax_t{1} << 40);
  EXPECT_THAT(error(), HasSubstr("vae/config.json: has more than 67108864 bytes"));
}

TEST_F(CheckpointFolder, AConfigThatIsAGitLfsPointerIsNamed) {
  write_text(folder_.path() / "vae" / "config.json",
             "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_THAT(error(), HasSubstr("vae/config.json: is a Git LFS pointer"));
}

TEST_F(CheckpointFolder, BrokenJsonIsNamed) {
  for (const char* text : {"", "{", "[]", "\"text\"", "{\"num_layers\": }"}) {
    write_text(folder_.path() / "transformer" / "config.json", text);
    EXPECT_THAT(error(), HasSubstr("config.json: is not ")) << text;
  }
}

}  // namespace
}  // namespace cogvx

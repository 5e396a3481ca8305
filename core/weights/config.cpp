#include "core/weights/config.h"

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"

namespace cogvx {
namespace {

using nlohmann::json;

// Typed access to one config object; an absent or null key leaves diffusers' default in place.
class Reader {
 public:
  Reader(const json& object, std::string label) : object_(object), label_(std::move(label)) {}

  void count(const char* key, int64_t& value, int64_t min = 1,
             int64_t max = int64_t{1} << 24) const {
    if (absent(key)) return;
    const json& found = object_.at(key);
    if (!found.is_number_integer()) fail(key, "a whole number");
    const int64_t number = found.is_number_unsigned() && found.get<uint64_t>() > INT64_MAX
                               ? INT64_MAX
                               : found.get<int64_t>();
    if (number < min || number > max) fail(key, std::to_string(min) + " to " + std::to_string(max));
    value = number;
  }
  void real(const char* key, double& value) const {
    if (absent(key)) return;
    if (!object_.at(key).is_number() || !std::isfinite(object_.at(key).get<double>()))
      fail(key, "a number");
    value = object_.at(key);
  }
  void positive(const char* key, double& value) const {
    real(key, value);
    if (!(value > 0)) fail(key, "a number above 0");
  }
  void flag(const char* key, bool& value) const {
    if (absent(key)) return;
    if (!object_.at(key).is_boolean()) fail(key, "true or false");
    value = object_.at(key);
  }
  template <typename T>
  void choice(const char* key, T& value, const std::map<std::string, T>& choices) const {
    if (absent(key)) return;
    const json& found = object_.at(key);
    if (found.is_string()) {
      if (const auto chosen = choices.find(found.get<std::string>()); chosen != choices.end()) {
        value = chosen->second;
        return;
      }
    }
    std::string wanted;
    for (const auto& [name, ignored] : choices) wanted += (wanted.empty() ? "" : " or ") + name;
    fail(key, wanted);
  }
  // A key that this program reads only to be sure that it means what the architecture fixes.
  void fixed(const char* key, const json& wanted) const {
    if (!absent(key) && object_.at(key) != wanted)
      fail(key, wanted.dump() + ", the only value of CogVideoX checkpoints");
  }
  bool absent(const char* key) const { return !object_.contains(key) || object_.at(key).is_null(); }
  [[noreturn]] void fail(const char* key, const std::string& wanted) const {
    throw DataError(label_ + ": '" + key + "' is " +
                    (absent(key) ? "missing" : object_.at(key).dump()) + ", wanted " + wanted);
  }

 private:
  const json& object_;
  std::string label_;
};

}  // namespace

json read_json_object(const std::filesystem::path& path) {
  std::ifstream stream(path);
  if (!stream)
    throw DataError(path.string() + ": cannot be read; is --model a diffusers checkpoint?");
  json object = json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) throw DataError(path.string() + ": is not a JSON object");
  return object;
}

TransformerConfig parse_transformer_config(const json& config, const std::string& label) {
  const Reader read(config, label);
  TransformerConfig c;
  read.fixed("_class_name", "CogVideoXTransformer3DModel");
  read.count("num_layers", c.num_layers, 1, 1000);
  read.count("num_attention_heads", c.num_attention_heads, 1, 1024);
  read.count("attention_head_dim", c.attention_head_dim, 2, 256);
  read.count("in_channels", c.in_channels, 1, 4096);
  read.count("out_channels", c.out_channels, 1, 4096);
  read.count("patch_size", c.patch_size, 1, 16);
  read.count("patch_size_t", c.patch_size_t, 1, 16);
  read.count("time_embed_dim", c.time_embed_dim);
  read.count("text_embed_dim", c.text_embed_dim);
  read.count("max_text_seq_length", c.max_text_seq_length, 1, 65536);
  read.count("sample_height", c.sample_height, 1, 4096);
  read.count("sample_width", c.sample_width, 1, 4096);
  read.count("sample_frames", c.sample_frames, 1, 4096);
  read.count("temporal_compression_ratio", c.temporal_compression_ratio, 1, 16);
  read.positive("spatial_interpolation_scale", c.spatial_interpolation_scale);
  read.positive("temporal_interpolation_scale", c.temporal_interpolation_scale);
  read.positive("norm_eps", c.norm_eps);
  read.flag("use_rotary_positional_embeddings", c.use_rotary_positional_embeddings);
  read.flag("use_learned_positional_embeddings", c.use_learned_positional_embeddings);
  read.fixed("activation_fn", "gelu-approximate");
  read.fixed("timestep_activation_fn", "silu");
  read.fixed("attention_bias", true);
  read.fixed("norm_elementwise_affine", true);
  read.fixed("flip_sin_to_cos", true);
  read.fixed("freq_shift", 0);
  if (c.attention_head_dim % 2 != 0) read.fail("attention_head_dim", "an even number");
  // The axes of a position table are 4/16, 6/16 and 6/16 of its width, each of even width.
  if (c.use_rotary_positional_embeddings && c.attention_head_dim % 16 != 0)
    read.fail("attention_head_dim", "a multiple of 16 with rotary positions");
  if (!c.use_rotary_positional_embeddings && c.width() % 16 != 0)
    read.fail("attention_head_dim", "a multiple of 16 when multiplied by num_attention_heads");
  return c;
}

VaeConfig parse_vae_config(const json& config, const std::string& label) {
  const Reader read(config, label);
  VaeConfig c;
  read.fixed("_class_name", "AutoencoderKLCogVideoX");
  read.count("in_channels", c.in_channels, 1, 4096);
  read.count("out_channels", c.out_channels, 1, 4096);
  read.count("latent_channels", c.latent_channels, 1, 4096);
  read.count("layers_per_block", c.layers_per_block, 1, 100);
  read.count("norm_num_groups", c.norm_num_groups, 1, 4096);
  read.positive("norm_eps", c.norm_eps);
  read.fixed("temporal_compression_ratio", 4);
  read.count("sample_height", c.sample_height, 16, 65536);
  read.count("sample_width", c.sample_width, 16, 65536);
  read.positive("scaling_factor", c.scaling_factor);
  read.flag("invert_scale_latents", c.invert_scale_latents);
  read.fixed("act_fn", "silu");
  read.fixed("use_quant_conv", false);
  read.fixed("use_post_quant_conv", false);
  if (!read.absent("block_out_channels")) {
    const json& channels = config.at("block_out_channels");
    if (!channels.is_array() || channels.size() != 4)
      read.fail("block_out_channels", "a list of four numbers");
    for (size_t i = 0; i < 4; ++i) {
      if (!channels[i].is_number_integer() || channels[i] < 1 || channels[i] > 65536) {
        read.fail("block_out_channels", "a list of four numbers from 1 to 65536");
      }
      c.block_out_channels[i] = channels[i];
    }
  }
  for (int64_t channels : c.block_out_channels) {
    if (channels % c.norm_num_groups != 0) {
      read.fail("norm_num_groups", "a divisor of every entry of block_out_channels");
    }
  }
  return c;
}

T5Config parse_t5_config(const json& config, const std::string& label) {
  const Reader read(config, label);
  T5Config c;
  read.fixed("model_type", "t5");
  read.count("vocab_size", c.vocab_size);
  read.count("d_model", c.d_model);
  read.count("d_kv", c.d_kv);
  read.count("d_ff", c.d_ff);
  read.count("num_layers", c.num_layers, 1, 1000);
  read.count("num_heads", c.num_heads, 1, 4096);
  read.count("relative_attention_num_buckets", c.relative_attention_num_buckets, 4, 4096);
  read.count("relative_attention_max_distance", c.relative_attention_max_distance, 2, 65536);
  read.positive("layer_norm_epsilon", c.layer_norm_epsilon);
  read.fixed("feed_forward_proj", "gated-gelu");
  return c;
}

SchedulerConfig parse_scheduler_config(const json& config, const std::string& label) {
  const Reader read(config, label);
  SchedulerConfig c;
  read.choice<SchedulerKind>("_class_name", c.kind,
                             {{"CogVideoXDDIMScheduler", SchedulerKind::kDdim},
                              {"CogVideoXDPMScheduler", SchedulerKind::kDpm}});
  read.count("num_train_timesteps", c.num_train_timesteps, 2, 100000);
  read.positive("beta_start", c.beta_start);
  read.positive("beta_end", c.beta_end);
  read.choice<BetaSchedule>(
      "beta_schedule", c.beta_schedule,
      {{"scaled_linear", BetaSchedule::kScaledLinear}, {"linear", BetaSchedule::kLinear}});
  read.choice<PredictionType>("prediction_type", c.prediction_type,
                              {{"epsilon", PredictionType::kEpsilon},
                               {"sample", PredictionType::kSample},
                               {"v_prediction", PredictionType::kVPrediction}});
  read.choice<TimestepSpacing>("timestep_spacing", c.timestep_spacing,
                               {{"trailing", TimestepSpacing::kTrailing},
                                {"leading", TimestepSpacing::kLeading},
                                {"linspace", TimestepSpacing::kLinspace}});
  read.count("steps_offset", c.steps_offset, 0, 1000);
  read.positive("snr_shift_scale", c.snr_shift_scale);
  read.flag("rescale_betas_zero_snr", c.rescale_betas_zero_snr);
  read.flag("set_alpha_to_one", c.set_alpha_to_one);
  read.fixed("trained_betas", nullptr);
  return c;
}

}  // namespace cogvx

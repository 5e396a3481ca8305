#include "core/weights/config.h"

#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/base/json_reader.h"
#include "core/base/read_file.h"

namespace cogvx {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{64} << 20;

// What diffusers can load and has no pipeline for, or no published model has.
void check_kind(const JsonReader& read, const TransformerConfig& c) {
  if (c.in_channels != c.out_channels && c.in_channels != 2 * c.out_channels) {
    read.fail("in_channels", std::to_string(c.out_channels) + " (text-to-video) or " +
                                 std::to_string(2 * c.out_channels) +
                                 " (image-to-video, control); inpainting models are not supported");
  }
  const bool learned = c.use_learned_positional_embeddings;
  if (!c.use_rotary_positional_embeddings && (learned || c.patch_size_t > 0)) {
    read.fail("use_rotary_positional_embeddings",
              std::string("true where ") +
                  (learned ? "use_learned_positional_embeddings is" : "there is a patch_size_t"));
  }
  if (learned && c.patch_size_t > 0)
    read.fail("use_learned_positional_embeddings", "false where there is a patch_size_t");
  if (c.ofs_embed_dim > 0 && c.ofs_embed_dim != c.time_embed_dim) {
    read.fail("ofs_embed_dim",
              std::to_string(c.time_embed_dim) + ", time_embed_dim: the two are added");
  }
  if (c.ofs_embed_dim % 2 != 0) read.fail("ofs_embed_dim", "an even number");
  // The linear layer of 1.5 has a bias whatever is said.
  if (c.patch_size_t == 0) read.fixed("patch_bias", true);
}

}  // namespace

json read_json_object(const std::filesystem::path& path) {
  return parse_json_object(read_file(path, kMaxConfigBytes), path.string());
}

TransformerConfig parse_transformer_config(const json& config, const std::string& label) {
  const JsonReader read(config, label);
  TransformerConfig c;
  read.fixed("_class_name", "CogVideoXTransformer3DModel");
  read.count("num_layers", c.num_layers, 1, 1000);
  read.count("num_attention_heads", c.num_attention_heads, 1, 1024);
  read.count("attention_head_dim", c.attention_head_dim, 2, 256);
  read.count("in_channels", c.in_channels, 1, 4096);
  read.count("out_channels", c.out_channels, 1, 4096);
  read.count("patch_size", c.patch_size, 1, 16);
  read.fixed("patch_size_t", 2);
  read.count("patch_size_t", c.patch_size_t);
  read.count("time_embed_dim", c.time_embed_dim);
  read.count("ofs_embed_dim", c.ofs_embed_dim, 0);
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
  check_kind(read, c);
  return c;
}

VaeConfig parse_vae_config(const json& config, const std::string& label) {
  const JsonReader read(config, label);
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
  const JsonReader read(config, label);
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
  // Half of the buckets are for one direction, and half of those for single distances.
  if (c.relative_attention_max_distance <= c.relative_attention_num_buckets / 4) {
    read.fail("relative_attention_max_distance",
              "more than a quarter of relative_attention_num_buckets");
  }
  read.positive("layer_norm_epsilon", c.layer_norm_epsilon);
  read.fixed("feed_forward_proj", "gated-gelu");
  return c;
}

void read_scheduler_numbers(const JsonReader& read, SchedulerConfig& c) {
  read.count("num_train_timesteps", c.num_train_timesteps, 2, 100000);
  read.positive("beta_start", c.beta_start);
  read.positive("beta_end", c.beta_end);
  read.count("steps_offset", c.steps_offset, 0, 1000);
  read.positive("snr_shift_scale", c.snr_shift_scale);
  read.flag("rescale_betas_zero_snr", c.rescale_betas_zero_snr);
  read.flag("set_alpha_to_one", c.set_alpha_to_one);
}

void read_clipping(const JsonReader& read, SchedulerConfig& c) {
  read.flag("clip_sample", c.clip_sample);
  read.positive("clip_sample_range", c.clip_sample_range);
}

SchedulerConfig parse_scheduler_config(const json& config, const std::string& label) {
  const JsonReader read(config, label);
  SchedulerConfig c;
  read.choice<SchedulerKind>("_class_name", c.kind,
                             {{SchedulerKind::kDdim, "CogVideoXDDIMScheduler"},
                              {SchedulerKind::kDpm, "CogVideoXDPMScheduler"},
                              {SchedulerKind::kGenericDdim, "DDIMScheduler"}});
  if (c.kind == SchedulerKind::kGenericDdim) {
    // Its class has other defaults.
    c.beta_start = 0.0001;
    c.beta_end = 0.02;
    c.beta_schedule = BetaSchedule::kLinear;
    c.clip_sample = true;
    read.fixed("thresholding", false);
  }
  read.choice<BetaSchedule>(
      "beta_schedule", c.beta_schedule,
      {{BetaSchedule::kLinear, "linear"}, {BetaSchedule::kScaledLinear, "scaled_linear"}});
  read.choice<PredictionType>("prediction_type", c.prediction_type,
                              {{PredictionType::kEpsilon, "epsilon"},
                               {PredictionType::kSample, "sample"},
                               {PredictionType::kVPrediction, "v_prediction"}});
  read.choice<TimestepSpacing>("timestep_spacing", c.timestep_spacing,
                               {{TimestepSpacing::kLeading, "leading"},
                                {TimestepSpacing::kLinspace, "linspace"},
                                {TimestepSpacing::kTrailing, "trailing"}});
  read_scheduler_numbers(read, c);
  read_clipping(read, c);  // the other classes have the keys and do not heed them
  read.fixed("trained_betas", nullptr);
  return c;
}

}  // namespace cogvx

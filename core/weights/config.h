#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace cogvx {

class JsonReader;

// The config.json files of a checkpoint as plain values; field names and defaults are diffusers'.
// Parsers throw DataError naming file, key, value found and values wanted.

// transformer/config.json (diffusers: models/transformers/cogvideox_transformer_3d.py)
struct TransformerConfig {
  int64_t num_layers = 30;
  int64_t num_attention_heads = 30;
  int64_t attention_head_dim = 64;
  int64_t in_channels = 16;
  int64_t out_channels = 16;
  int64_t patch_size = 2;
  int64_t patch_size_t = 0;   // 0: the 1.0 family, which has no temporal patch
  int64_t ofs_embed_dim = 0;  // 0: no such embedding
  int64_t time_embed_dim = 512;
  int64_t text_embed_dim = 4096;
  int64_t max_text_seq_length = 226;
  int64_t sample_height = 60;
  int64_t sample_width = 90;
  int64_t sample_frames = 49;
  int64_t temporal_compression_ratio = 4;
  double spatial_interpolation_scale = 1.875;
  double temporal_interpolation_scale = 1.0;
  double norm_eps = 1e-5;
  bool use_rotary_positional_embeddings = false;
  bool use_learned_positional_embeddings = false;

  int64_t width() const { return num_attention_heads * attention_head_dim; }
  // Latent frames of a patch, and latents of one channel in it.
  int64_t patch_frames() const { return std::max(int64_t{1}, patch_size_t); }
  int64_t patch_elements() const { return patch_frames() * patch_size * patch_size; }
  bool operator==(const TransformerConfig&) const = default;
};

// vae/config.json (diffusers: models/autoencoders/autoencoder_kl_cogvideox.py)
struct VaeConfig {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  int64_t latent_channels = 16;
  std::vector<int64_t> block_out_channels{128, 256, 256, 512};
  int64_t layers_per_block = 3;
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  int64_t temporal_compression_ratio = 4;
  int64_t sample_height = 480;
  int64_t sample_width = 720;
  double scaling_factor = 1.15258426;
  bool invert_scale_latents = false;

  bool operator==(const VaeConfig&) const = default;
};

// text_encoder/config.json (transformers: T5Config)
struct T5Config {
  int64_t vocab_size = 32128;
  int64_t d_model = 4096;
  int64_t d_kv = 64;
  int64_t d_ff = 10240;
  int64_t num_layers = 24;
  int64_t num_heads = 64;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;

  bool operator==(const T5Config&) const = default;
};

enum class SchedulerKind { kDdim, kDpm, kGenericDdim };
enum class TimestepSpacing { kTrailing, kLeading, kLinspace };
enum class PredictionType { kEpsilon, kSample, kVPrediction };
enum class BetaSchedule { kScaledLinear, kLinear };

// scheduler/scheduler_config.json (diffusers: schedulers/scheduling_ddim_cogvideox.py,
// scheduling_dpm_cogvideox.py, scheduling_ddim.py)
struct SchedulerConfig {
  SchedulerKind kind = SchedulerKind::kDdim;
  int64_t num_train_timesteps = 1000;
  double beta_start = 0.00085;
  double beta_end = 0.012;
  BetaSchedule beta_schedule = BetaSchedule::kScaledLinear;
  PredictionType prediction_type = PredictionType::kEpsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::kLeading;
  int64_t steps_offset = 0;
  double snr_shift_scale = 3.0;
  bool rescale_betas_zero_snr = false;
  bool set_alpha_to_one = true;
  // The generic DDIM only: predictions are cut to +-clip_sample_range.
  bool clip_sample = false;
  double clip_sample_range = 1.0;

  bool operator==(const SchedulerConfig&) const = default;
};

// Reads a file of at most 64 MiB that holds a JSON object.
nlohmann::json read_json_object(const std::filesystem::path& path);

TransformerConfig parse_transformer_config(const nlohmann::json& config, const std::string& label);
VaeConfig parse_vae_config(const nlohmann::json& config, const std::string& label);
T5Config parse_t5_config(const nlohmann::json& config, const std::string& label);
// The members of a scheduler that have the same names in its config and in a request.
void read_scheduler_numbers(const JsonReader& read, SchedulerConfig& config);
void read_clipping(const JsonReader& read, SchedulerConfig& config);
SchedulerConfig parse_scheduler_config(const nlohmann::json& config, const std::string& label);

}  // namespace cogvx

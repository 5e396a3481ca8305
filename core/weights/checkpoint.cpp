#include "core/weights/checkpoint.h"

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/read_file.h"
#include "core/weights/weight_map.h"

namespace cogvx {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_pipeline_class(const fs::path& path) {
  const json index = read_json_object(path);
  const json name = index.value("_class_name", json());
  if (!name.is_string())
    throw DataError(path.string() +
                    ": '_class_name' is missing; is --model a diffusers checkpoint?");
  return name.get<std::string>();
}

template <typename Config>
Config read_config(const fs::path& path, Config (*parse)(const json&, const std::string&)) {
  return parse(read_json_object(path), path.string());
}

void check_equal(const Checkpoint& c, const char* a, int64_t value_a, const char* b,
                 int64_t value_b) {
  if (value_a == value_b) return;
  throw DataError(c.dir.string() + ": " + a + " is " + std::to_string(value_a) + ", " + b + " is " +
                  std::to_string(value_b) +
                  ", wanted equal; are these components of one checkpoint?");
}

}  // namespace

Checkpoint open_checkpoint(const fs::path& dir, TextEncoder text_encoder) {
  require_folder(dir, "--model takes a diffusers checkpoint directory");
  Checkpoint c;
  c.dir = dir;
  c.pipeline_class = read_pipeline_class(dir / "model_index.json");
  c.transformer = read_config(dir / "transformer" / "config.json", parse_transformer_config);
  c.vae = read_config(dir / "vae" / "config.json", parse_vae_config);
  c.text_encoder = read_config(dir / "text_encoder" / "config.json", parse_t5_config);
  c.scheduler = read_config(dir / "scheduler" / "scheduler_config.json", parse_scheduler_config);
  check_equal(c, "the transformer's text_embed_dim", c.transformer.text_embed_dim,
              "the text encoder's d_model", c.text_encoder.d_model);
  check_equal(c, "the transformer's out_channels", c.transformer.out_channels,
              "the VAE's latent_channels", c.vae.latent_channels);
  // Mapping reads the headers only, and finds missing and cut files before hours of work.
  c.stored_dtype = WeightMap(dir / "transformer", "diffusion_pytorch_model").stored_dtype();
  WeightMap(dir / "vae", "diffusion_pytorch_model");
  if (text_encoder == TextEncoder::kHere) WeightMap(dir / "text_encoder", "model");
  require_file(dir / "tokenizer" / "spiece.model", "is the download complete?");
  return c;
}

}  // namespace cogvx

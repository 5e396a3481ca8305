// Any bytes as each of the JSON files that stand beside weights, as a request, and as the
// normalisation rules of a tokenizer.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/pipeline/request.h"
#include "core/text/charsmap.h"
#include "core/weights/config.h"
#include "core/weights/non_finite.h"
#include "core/weights/shard_index.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;
using fuzz::require;
using nlohmann::json;

namespace {

void require_sane(const TransformerConfig& c) {
  require(c.num_layers >= 1 && c.num_layers <= 1000, "layers are in range");
  require(c.width() >= 1 && c.width() <= 1024 * 256, "the width is in range");
  require(c.width() % 16 == 0 || c.attention_head_dim % 16 == 0, "position tables have a width");
  require(std::isfinite(c.norm_eps) && c.norm_eps > 0, "norm_eps is a number above 0");
}

void require_sane(const VaeConfig& c) {
  require(c.block_out_channels.size() == 4, "the VAE has four blocks");
  for (const int64_t channels : c.block_out_channels)
    require(channels >= 1 && channels % c.norm_num_groups == 0, "groups divide the channels");
}

void require_sane(const SchedulerConfig& c) {
  require(c.num_train_timesteps >= 2 && c.num_train_timesteps <= 100000, "timesteps are in range");
  require(std::isfinite(c.beta_end) && c.beta_end > 0, "betas are numbers above 0");
}

void require_sane(const Request& r) {
  require(r.width >= 16 && r.width <= 8192 && r.steps >= 1 && r.num_frames >= 1, "sizes in range");
  require(std::isfinite(r.guidance_scale), "guidance is a number");
  const json again = parse_json_object(request_to_json(r).dump(), "input");
  require(request_from_json(again, "input") == r, "a request comes back");
  require(request_differences(r, r).empty(), "a request equals itself");
}

void require_sane(const std::map<std::string, std::string>& shard_of) {
  for (const auto& [tensor, file] : shard_of)
    require(!file.empty() && file.find('/') == file.npos && file != "..", "shards stay in place");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::parses([&] { check_charsmaps(text, "input"); });
  json object;
  if (!fuzz::parses([&] { object = parse_json_object(text, "input"); })) return 0;
  require(parse_json_object(object.dump(), "input") == object, "JSON comes back");
  require(json_excerpt(object).size() <= 83, "an excerpt is short");
  const std::string label = "input";
  fuzz::parses([&] { require_sane(parse_transformer_config(object, label)); });
  fuzz::parses([&] { require_sane(parse_vae_config(object, label)); });
  fuzz::parses([&] { require(parse_t5_config(object, label).d_model >= 1, "d_model in range"); });
  fuzz::parses([&] { require_sane(parse_scheduler_config(object, label)); });
  fuzz::parses([&] { require_sane(request_from_json(object, label)); });
  fuzz::parses([&] { require_sane(parse_shard_index(text, label)); });
  for (const char* dtype : {"F32", "F16", "BF16"})
    require(count_non_finite(fuzz::as_bytes(text), dtype) <= size / 2, "numbers are counted once");
  return 0;
}

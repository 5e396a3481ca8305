#include "app/model_kinds.h"

#include <nlohmann/json.hpp>

#include "app/model_kinds_data.h"
#include "core/vae/tiles.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

bool matches(const json& match, const TransformerConfig& c) {
  const std::string positions = c.use_learned_positional_embeddings  ? "learned"
                                : c.use_rotary_positional_embeddings ? "rotary"
                                                                     : "sincos";
  return match.at("num_layers") == c.num_layers &&
         match.at("num_attention_heads") == c.num_attention_heads &&
         match.at("in_channels") == c.in_channels && match.at("patch_size_t") == c.patch_size_t &&
         match.at("positions") == positions;
}

SchedulerKind scheduler_of(const std::string& name) {
  return name == "dpm"    ? SchedulerKind::kDpm
         : name == "ddim" ? SchedulerKind::kDdim
                          : SchedulerKind::kGenericDdim;
}

ModelKind custom_kind(const Checkpoint& checkpoint) {
  const TransformerConfig& c = checkpoint.transformer;
  ModelKind kind{.name = "custom",
                 .sizes = {{static_cast<int>(c.sample_width * kSpatialCompression),
                            static_cast<int>(c.sample_height * kSpatialCompression)}},
                 .frames = {},
                 .default_frames = c.sample_frames,
                 .scheduler = checkpoint.scheduler.kind};
  for (int64_t frames = 9; frames < c.sample_frames; frames += 8) kind.frames.push_back(frames);
  kind.frames.push_back(c.sample_frames);
  return kind;
}

}  // namespace

ModelKind find_kind(const Checkpoint& checkpoint) {
  const json kinds = json::parse(kModelKindsJson);
  for (const auto& [name, entry] : kinds.items()) {
    if (!matches(entry.at("match"), checkpoint.transformer)) continue;
    ModelKind kind{.name = name, .sizes = {}, .frames = entry.at("frames")};
    for (const json& size : entry.at("sizes")) kind.sizes.push_back({size.at(0), size.at(1)});
    kind.default_frames = entry.at("default_frames");
    kind.frame_rate = {entry.at("fps"), 1};
    kind.scheduler = scheduler_of(entry.at("scheduler"));
    if (entry.contains("size_rule")) {
      const json& rule = entry.at("size_rule");
      kind.size_rule =
          SizeRule{rule.at("short").at(0), rule.at("short").at(1), rule.at("long").at(1)};
    }
    kind.fp16_safe = entry.at("fp16_safe");
    return kind;
  }
  return custom_kind(checkpoint);
}

}  // namespace cogvx::app

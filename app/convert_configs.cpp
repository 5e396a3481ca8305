#include "app/convert_configs.h"

#include <algorithm>

#include "app/checkpoint_configs_data.h"
#include "core/base/errors.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

json table() { return json::parse(kCheckpointConfigsJson); }

}  // namespace

std::vector<std::string> convertible_kinds() {
  std::vector<std::string> kinds;
  const json known = table();
  for (const auto& [kind, configs] : known.at("kinds").items()) kinds.push_back(kind);
  return kinds;
}

CheckpointConfigs configs_of_kind(const std::string& kind) {
  const json known = table();
  if (!known.at("kinds").contains(kind)) {
    std::string names;
    for (const std::string& name : convertible_kinds()) names += (names.empty() ? "" : ", ") + name;
    throw UsageError("--kind is '" + kind + "', wanted one of " + names +
                     "; for any other, give its config files with --configs");
  }
  // What a kind says goes over what all have in common.
  json merged = known.at("common");
  merged.merge_patch(known.at("kinds").at(kind));
  // A patch takes nulls for removals.
  for (const auto& [component, config] : known.at("common").items()) {
    for (const auto& [key, value] : config.items()) {
      if (value.is_null()) merged[component][key] = nullptr;
    }
  }
  return {.model_index = merged.at("model_index"),
          .transformer = merged.at("transformer"),
          .vae = merged.at("vae"),
          .scheduler = merged.at("scheduler"),
          .text_encoder = merged.at("text_encoder")};
}

CheckpointConfigs read_configs(const std::filesystem::path& folder) {
  return {.model_index = read_json_object(folder / "model_index.json"),
          .transformer = read_json_object(folder / "transformer" / "config.json"),
          .vae = read_json_object(folder / "vae" / "config.json"),
          .scheduler = read_json_object(folder / "scheduler" / "scheduler_config.json"),
          .text_encoder = read_json_object(folder / "text_encoder" / "config.json")};
}

}  // namespace cogvx::app

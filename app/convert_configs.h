#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cogvx::app {

// The config files of a checkpoint.
struct CheckpointConfigs {
  nlohmann::json model_index;
  nlohmann::json transformer;
  nlohmann::json vae;
  nlohmann::json scheduler;
  nlohmann::json text_encoder;
};

// The kinds whose config files are known (configs/checkpoint_configs.json).
std::vector<std::string> convertible_kinds();
// Throws UsageError for a kind that is not known.
CheckpointConfigs configs_of_kind(const std::string& kind);
// Those in a checkpoint's folder. Throws DataError.
CheckpointConfigs read_configs(const std::filesystem::path& folder);

}  // namespace cogvx::app

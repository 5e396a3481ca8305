#pragma once

#include <filesystem>
#include <string>

#include "core/weights/config.h"

namespace cogvx {

// One checkpoint directory in the diffusers layout: its configs, read and checked; no weights.
struct Checkpoint {
  std::filesystem::path dir;
  std::string pipeline_class;  // from model_index.json
  TransformerConfig transformer;
  VaeConfig vae;
  T5Config text_encoder;
  SchedulerConfig scheduler;
  std::string stored_dtype;  // of the transformer: "F32", "F16" or "BF16"
};

// Whether this process is to run the text encoder; where it is not, its weights are not looked for.
enum class TextEncoder { kHere, kElsewhere };
// Throws DataError when a config or weight file is missing, unreadable or does not fit the others.
Checkpoint open_checkpoint(const std::filesystem::path& dir,
                           TextEncoder text_encoder = TextEncoder::kHere);

}  // namespace cogvx

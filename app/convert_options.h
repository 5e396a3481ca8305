#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace cogvx::app {

struct ConvertOptions {
  std::filesystem::path in;
  std::filesystem::path out;
  std::string kind;           // empty: found from the tensors
  std::string dtype;          // "F32", "F16" or "BF16" as safetensors names it; empty: as stored
  std::filesystem::path vae;  // empty: looked for beside `in`
  std::filesystem::path text_encoder;      // likewise
  std::filesystem::path tokenizer;         // likewise
  std::filesystem::path configs;           // a checkpoint folder whose config files are taken
  size_t max_shard_bytes = 5'000'000'000;  // as diffusers and transformers cut
  bool verify = false;
  bool dry_run = false;
  bool quiet = false;
  bool help = false;
};

// Throws UsageError.
ConvertOptions parse_convert_options(int argc, const char* const* argv);
extern const char* const kConvertUsage;

}  // namespace cogvx::app

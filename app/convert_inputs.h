#pragma once

#include <filesystem>
#include <memory>

#include "app/convert_options.h"
#include "core/weights/tensor_source.h"

namespace cogvx::app {

// Where everything that is to be converted lies.
struct ConvertInputs {
  std::filesystem::path transformer;   // a file, or a folder in diffusers' layout
  std::filesystem::path vae;           // likewise
  std::filesystem::path text_encoder;  // a folder
  std::filesystem::path tokenizer;     // a folder
  std::filesystem::path configs;       // a checkpoint folder; empty: those known for the kind
};

// Looks for what the options do not name. Throws UsageError where something cannot be found,
// DataError where what is named is not there.
ConvertInputs find_inputs(const ConvertOptions& options);

// The tensors of a `.pt` file, a `.safetensors`, or a folder with `<stem>.safetensors` or its
// shards. Throws DataError.
std::unique_ptr<TensorSource> open_source(const std::filesystem::path& path,
                                          const std::string& stem);

}  // namespace cogvx::app

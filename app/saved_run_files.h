#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "core/pipeline/request.h"
#include "core/pipeline/stages.h"

namespace cogvx::app {

// Final latents with what made them (core/pipeline/saved_run.h has the format).
struct SavedLatents {
  Request request;
  std::string engine;         // JSON object
  at::Tensor latents_LCYX{};  // fp32, bf16 or fp16 as computed
};

// A run between two steps.
struct SavedState {
  Request request;
  std::string engine;  // JSON object
  DenoiseState state{};
};

// Written by rename. Throw OutputError.
void write_latents(const std::string& path, const SavedLatents& saved);
void write_state(const std::string& path, const SavedState& saved);
// Throw DataError, also where latents are not finite or not of their request's shape.
SavedLatents read_latents(const std::string& path);
SavedState read_state(const std::string& path);

}  // namespace cogvx::app

#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "core/pipeline/request.h"

namespace cogvx::app {

struct SavedLatents {
  at::Tensor latents_LCYX;  // fp32, bf16 or fp16 as computed
  Request request;
};

// safetensors, tensor `latents` [1, F, C, H, W] in its own dtype; the metadata holds the request.
// Written by rename.
void write_latents(const std::string& path, const SavedLatents& saved);
// Throws DataError.
SavedLatents read_latents(const std::string& path);

}  // namespace cogvx::app

#pragma once

#include "core/weights/config.h"
#include "core/weights/safetensors.h"

namespace cogvx {

// Names and shapes of all tensors of a component in diffusers' checkpoints. `ofs_embed_dim` of the
// transformer's config is 0 where it has none.
TensorShapes transformer_tensors(const TransformerConfig& config, int64_t ofs_embed_dim);
TensorShapes vae_tensors(const VaeConfig& config);
// Without the second name that a tied embedding may have.
TensorShapes t5_tensors(const T5Config& config);

}  // namespace cogvx

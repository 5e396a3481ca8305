#pragma once

#include "core/weights/config.h"
#include "core/weights/safetensors.h"

namespace cogvx {

// Every tensor of transformer/ in a diffusers checkpoint of such a config.
TensorShapes transformer_tensors(const TransformerConfig& config);

// The learned positions of image-to-video models, [1, text rows + trained video rows, D].
constexpr const char* kLearnedPositions = "patch_embed.pos_embedding";

}  // namespace cogvx

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/weights/config.h"

namespace cogvx {

// Shapes by name.
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// Every tensor of transformer/ in a diffusers checkpoint of such a config.
TensorShapes transformer_tensors(const TransformerConfig& config);

// The learned positions of image-to-video models, [1, text rows + trained video rows, D].
constexpr const char* kLearnedPositions = "patch_embed.pos_embedding";

}  // namespace cogvx

#pragma once

#include <cstdint>

#include "core/weights/config.h"

namespace cogvx {

// Latent frames, rows and columns of a video.
struct LatentExtent {
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// The video tokens of one forward pass: frames, rows and columns of patches, in token order (t, y,
// x).
struct PatchGrid {
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t tokens() const { return frames * height * width; }
  bool operator==(const PatchGrid&) const = default;
};

inline PatchGrid patch_grid(const TransformerConfig& config, const LatentExtent& latents) {
  return {latents.frames / config.patch_frames(), latents.height / config.patch_size,
          latents.width / config.patch_size};
}

// Of the frames and the size in the transformer's config.
inline PatchGrid trained_grid(const TransformerConfig& config) {
  return patch_grid(config, {(config.sample_frames - 1) / config.temporal_compression_ratio + 1,
                             config.sample_height, config.sample_width});
}

}  // namespace cogvx

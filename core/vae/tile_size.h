#pragma once

#include <cstdint>

namespace cogvx {

// Pixels to a latent, each way.
constexpr int64_t kSpatialCompression = 8;

// Tile size in pixels; zero height: no tiling at all.
struct TileSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const TileSize&) const = default;
};

}  // namespace cogvx

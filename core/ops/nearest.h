#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

// Nearest neighbour as PyTorch and diffusers count it; for every device the same integers.
namespace cogvx {

// Where each of `out` places takes its value from: floor(to * in / out) in float.
inline std::vector<int64_t> nearest_indices(int64_t in, int64_t out) {
  std::vector<int64_t> from(out);
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  for (int64_t i = 0; i < out; ++i) {
    from[i] = std::min(static_cast<int64_t>(std::floor(static_cast<float>(i) * scale)), in - 1);
  }
  return from;
}

// Which latent frame each frame takes its scale and shift from (diffusers: CogVideoXSpatialNorm3D).
inline std::vector<int64_t> nearest_frames(int64_t in, int64_t out) {
  if (out == 1 || out % 2 == 0) return nearest_indices(in, out);
  std::vector<int64_t> from{0};
  for (int64_t frame : nearest_indices(in - 1, out - 1)) from.push_back(frame + 1);
  return from;
}

}  // namespace cogvx

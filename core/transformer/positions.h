#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/weights/config.h"

namespace cogvx {

// The video tokens of one forward pass: frames, rows and columns of patches, in token order (t, y,
// x).
struct PatchGrid {
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t tokens() const { return frames * height * width; }
  bool operator==(const PatchGrid&) const = default;
};

// Sinusoid of a scalar, [cos | sin], fp32 [dim] (diffusers: get_timestep_embedding with
// flip_sin_to_cos).
at::Tensor timestep_sinusoid(double value, int64_t dim);

// 3-D sincos positions of the 2B family, [tokens, D] computed in double and rounded to `dtype`;
// channels are time D/4, width 3D/8, height 3D/8 (diffusers: get_3d_sincos_pos_embed).
at::Tensor sincos_positions(const TransformerConfig& config, const PatchGrid& grid,
                            at::ScalarType dtype);

// Rotary tables of the 5B family, fp32 [tokens, head_dim] each (diffusers: get_3d_rotary_pos_embed,
// "linspace" grid on the crop region of the trained size).
struct RotaryTables {
  at::Tensor cos;
  at::Tensor sin;
};
RotaryTables rotary_positions(const TransformerConfig& config, const PatchGrid& grid);

}  // namespace cogvx

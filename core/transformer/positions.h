#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/transformer/patch_grid.h"
#include "core/weights/config.h"

namespace cogvx {

// Throws UsageError where the model has no positions for such latents with so many text rows, or
// cannot cut them into patches.
void check_positions(const TransformerConfig& config, const LatentExtent& latents,
                     int64_t text_rows);

// What is added to embedded rows: sincos to video rows, a learned table to text rows too. The
// learned table is for the trained frames alone; for others diffusers takes sincos.
enum class AddedPositions { kNone, kSincos, kLearned };
AddedPositions added_positions(const TransformerConfig& config, const PatchGrid& grid);

// Sinusoid of a scalar, [cos | sin], fp32 [dim] (diffusers: get_timestep_embedding with
// flip_sin_to_cos).
at::Tensor timestep_sinusoid(double value, int64_t dim);

// 3-D sincos positions, [tokens, D] computed in double and rounded to `dtype`;
// channels are time D/4, width 3D/8, height 3D/8 (diffusers: get_3d_sincos_pos_embed).
at::Tensor sincos_positions(const TransformerConfig& config, const PatchGrid& grid,
                            at::ScalarType dtype);

// Rotary tables, fp32 [tokens, head_dim] each (diffusers: get_3d_rotary_pos_embed; CogVideoX 1.0
// has the "linspace" grid on the crop region of the trained size, 1.5 the "slice" grid, which is
// whole numbers).
struct RotaryTables {
  at::Tensor cos;
  at::Tensor sin;
};
RotaryTables rotary_positions(const TransformerConfig& config, const PatchGrid& grid);

}  // namespace cogvx

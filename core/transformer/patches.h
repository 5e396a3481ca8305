#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/shapes.h"
#include "core/transformer/patch_grid.h"
#include "core/weights/config.h"

namespace cogvx {

// Latents <-> patches. L latent frames, C channels, Y and X latent height and width, M video
// tokens; a patch is a vector of C channels x patch_size_t latent frames (one in CogVideoX 1.0) x
// patch_size rows x patch_size columns, channels slowest.

// latents_LCYX, tokens [begin, end) -> their patch vectors (C, pt, py, px)
at::Tensor patch_vectors(const at::Tensor& latents_LCYX, const TransformerConfig& config,
                         RowRange tokens);
// vectors_M(C pt py px) of all tokens -> latents_LCYX, C = out_channels
at::Tensor unpatchify(const at::Tensor& vectors_MP, const TransformerConfig& config,
                      const PatchGrid& grid);

}  // namespace cogvx

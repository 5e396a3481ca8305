#include "core/transformer/patches.h"

namespace cogvx {

at::Tensor patch_vectors(const at::Tensor& latents_LCYX, const TransformerConfig& config,
                         RowRange tokens) {
  const int64_t pt = config.patch_frames();
  const int64_t p = config.patch_size;
  const int64_t channels = latents_LCYX.size(1);
  const PatchGrid grid =
      patch_grid(config, {latents_LCYX.size(0), latents_LCYX.size(2), latents_LCYX.size(3)});
  return latents_LCYX.reshape({grid.frames, pt, channels, grid.height, p, grid.width, p})
      .permute({0, 3, 5, 2, 1, 4, 6})
      .reshape({grid.tokens(), channels * config.patch_elements()})
      .narrow(0, tokens.begin, tokens.size());
}

at::Tensor unpatchify(const at::Tensor& vectors_MP, const TransformerConfig& config,
                      const PatchGrid& grid) {
  const int64_t pt = config.patch_frames();
  const int64_t p = config.patch_size;
  const int64_t channels = config.out_channels;
  return vectors_MP.view({grid.frames, grid.height, grid.width, channels, pt, p, p})
      .permute({0, 4, 3, 1, 5, 2, 6})
      .reshape({grid.frames * pt, channels, grid.height * p, grid.width * p});
}

}  // namespace cogvx

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/shapes.h"
#include "core/vae/decoder.h"
#include "core/vae/tile_size.h"
#include "core/weights/config.h"

namespace cogvx {

// One tile in latent units; tiles stand row by row.
struct Tile {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// How one decode is cut and put together again (diffusers: AutoencoderKLCogVideoX.tiled_decode with
// its overlap factors).
struct TileLayout {
  std::vector<Tile> tiles;
  int64_t columns = 1;
  int64_t blend_height = 0;  // pixels
  int64_t blend_width = 0;
  int64_t kept_height = 0;
  int64_t kept_width = 0;
};

// The tile diffusers takes: half the trained size.
TileSize default_tile(const VaeConfig& config);
// One tile over everything when `tile` has no height or the latents are no larger than it.
TileLayout plan_tiles(TileSize tile, int64_t latent_height, int64_t latent_width);
// Frames of each temporal chunk: two latent frames each, the first takes an odd one too.
std::vector<RowRange> temporal_chunks(int64_t latent_frames);

// Called after each temporal chunk of a tile; may throw to stop.
using ChunkCallback = std::function<void(int64_t done, int64_t total)>;

// One unit of decoding: a tile of latents_CtYX through its whole chain of chunks -> [3, T, 8Y, 8X].
at::Tensor decode_tile(const VaeDecoder& decoder, const at::Tensor& latents_CtYX, const Tile& tile,
                       const ChunkCallback& after_chunk = {});

// Blends decoded tiles in diffusers' order, in place, and joins them: -> [3, T, 8Y, 8X]. All lie
// where the Ops computes.
at::Tensor blend_tiles(const TileLayout& layout, std::vector<at::Tensor> tiles_CTYX, Ops& ops);

}  // namespace cogvx

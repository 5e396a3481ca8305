#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/shapes.h"
#include "core/vae/decoder.h"
#include "core/vae/encoder.h"
#include "core/vae/tile_size.h"
#include "core/weights/config.h"

namespace cogvx {

// One tile in units of what goes in, latents or pixels; tiles stand row by row.
struct Tile {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// How one decode or encode is cut and put together again (diffusers:
// AutoencoderKLCogVideoX.tiled_decode, tiled_encode, with their overlap factors).
struct TileLayout {
  std::vector<Tile> tiles;
  int64_t columns = 1;
  int64_t blend_height = 0;  // in units of what comes out, as all that follow
  int64_t blend_width = 0;
  int64_t kept_height = 0;
  int64_t kept_width = 0;
};

// The tile diffusers takes: half the trained size.
TileSize default_tile(const VaeConfig& config);
// To decode. One tile over everything when `tile` has no height or the latents are no larger than
// it.
TileLayout plan_tiles(TileSize tile, int64_t latent_height, int64_t latent_width);
// To encode, from the size in pixels; the same otherwise.
TileLayout plan_encoder_tiles(TileSize tile, int64_t height, int64_t width);
// The tile with the most in it; an empty one where there is none.
Tile largest_tile(const std::vector<Tile>& tiles);
// Frames of each temporal chunk: two latent frames each, the first takes an odd one too.
std::vector<RowRange> temporal_chunks(int64_t latent_frames);
// The same to encode: eight frames each, and the first takes what is left over.
std::vector<RowRange> encoder_chunks(int64_t frames);
// Latent frames that so many frames become.
int64_t encoded_frames(int64_t frames);

// Called after each temporal chunk of a tile; may throw to stop.
using ChunkCallback = std::function<void(int64_t done, int64_t total)>;

// One unit of decoding: a tile of latents_CtYX through its whole chain of chunks -> [3, T, 8Y, 8X].
at::Tensor decode_tile(const VaeDecoder& decoder, const at::Tensor& latents_CtYX, const Tile& tile,
                       const ChunkCallback& after_chunk = {});

// One unit of encoding: a tile of pixels_CTYX -> moments [2 * latent channels, t, Y/8, X/8].
at::Tensor encode_tile(const VaeEncoder& encoder, const at::Tensor& pixels_CTYX, const Tile& tile,
                       const ChunkCallback& after_chunk = {});

// Blends finished tiles in diffusers' order, in place, and joins them. All lie where the Ops
// computes.
at::Tensor blend_tiles(const TileLayout& layout, std::vector<at::Tensor> tiles_CTYX, Ops& ops);

}  // namespace cogvx

#include "core/vae/tiles.h"

#include <ATen/ops/cat.h>

#include <algorithm>

namespace cogvx {
namespace {

constexpr int64_t kLatentFramesPerChunk = 2;
constexpr double kOverlapHeight = 1.0 / 6.0;
constexpr double kOverlapWidth = 1.0 / 5.0;

struct Seam {
  int64_t dim;
  int64_t extent;  // lines
};

// Fades the last lines of `before` into the first of `tile`, in place.
void blend(const at::Tensor& before, const at::Tensor& tile, Seam seam, Ops& ops) {
  const int64_t dim = seam.dim;
  const int64_t lines = std::min({before.size(dim), tile.size(dim), seam.extent});
  at::Tensor faded = tile.narrow(dim, 0, lines);
  ops.fade(before.narrow(dim, before.size(dim) - lines, lines), faded, dim);
}

}  // namespace

TileSize default_tile(const VaeConfig& config) {
  return {config.sample_height / 2, config.sample_width / 2};
}

TileLayout plan_tiles(TileSize tile, int64_t latent_height, int64_t latent_width) {
  const int64_t height = tile.height / kSpatialCompression;
  const int64_t width = tile.width / kSpatialCompression;
  if (tile.height == 0 || (latent_height <= height && latent_width <= width)) {
    return {.tiles = {{0, 0, latent_height, latent_width}}};
  }
  const auto step_y = static_cast<int64_t>(static_cast<double>(height) * (1 - kOverlapHeight));
  const auto step_x = static_cast<int64_t>(static_cast<double>(width) * (1 - kOverlapWidth));
  TileLayout layout{
      .columns = ceil_div(latent_width, step_x),
      .blend_height = static_cast<int64_t>(static_cast<double>(tile.height) * kOverlapHeight),
      .blend_width = static_cast<int64_t>(static_cast<double>(tile.width) * kOverlapWidth)};
  layout.kept_height = tile.height - layout.blend_height;
  layout.kept_width = tile.width - layout.blend_width;
  for (int64_t top = 0; top < latent_height; top += step_y) {
    for (int64_t left = 0; left < latent_width; left += step_x) {
      layout.tiles.push_back(
          {top, left, std::min(height, latent_height - top), std::min(width, latent_width - left)});
    }
  }
  return layout;
}

std::vector<RowRange> temporal_chunks(int64_t latent_frames) {
  const int64_t chunks = std::max<int64_t>(latent_frames / kLatentFramesPerChunk, 1);
  const int64_t remainder = latent_frames % kLatentFramesPerChunk;
  std::vector<RowRange> ranges;
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t begin = i == 0 ? 0 : kLatentFramesPerChunk * i + remainder;
    ranges.push_back({begin, std::min(kLatentFramesPerChunk * (i + 1) + remainder, latent_frames)});
  }
  return ranges;
}

at::Tensor decode_tile(const VaeDecoder& decoder, const at::Tensor& latents_CtYX, const Tile& tile,
                       const ChunkCallback& after_chunk) {
  const at::Tensor own =
      latents_CtYX.narrow(2, tile.top, tile.height).narrow(3, tile.left, tile.width);
  const std::vector<RowRange> chunks = temporal_chunks(latents_CtYX.size(1));
  CausalCache cache;
  std::vector<at::Tensor> frames;
  for (const RowRange& chunk : chunks) {
    frames.push_back(
        decoder.decode_chunk(own.narrow(1, chunk.begin, chunk.size()).contiguous(), cache));
    if (after_chunk)
      after_chunk(static_cast<int64_t>(frames.size()), static_cast<int64_t>(chunks.size()));
  }
  return frames.size() == 1 ? frames[0] : at::cat(frames, /*dim=*/1);
}

at::Tensor blend_tiles(const TileLayout& layout, std::vector<at::Tensor> tiles_CTYX, Ops& ops) {
  if (tiles_CTYX.size() == 1) return tiles_CTYX[0];
  const auto columns = static_cast<size_t>(layout.columns);
  std::vector<at::Tensor> bands;
  for (size_t first = 0; first < tiles_CTYX.size(); first += columns) {
    std::vector<at::Tensor> kept;
    for (size_t i = first; i < first + columns; ++i) {
      const at::Tensor& tile = tiles_CTYX[i];
      // The neighbours are blended already; diffusers blends in place.
      if (first > 0) blend(tiles_CTYX[i - columns], tile, {2, layout.blend_height}, ops);
      if (i > first) blend(tiles_CTYX[i - 1], tile, {3, layout.blend_width}, ops);
      kept.push_back(tile.narrow(2, 0, std::min(layout.kept_height, tile.size(2)))
                         .narrow(3, 0, std::min(layout.kept_width, tile.size(3))));
    }
    bands.push_back(at::cat(kept, /*dim=*/3));
  }
  return at::cat(bands, /*dim=*/2);
}

}  // namespace cogvx

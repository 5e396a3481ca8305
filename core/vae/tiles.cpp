#include "core/vae/tiles.h"

#include <ATen/ops/cat.h>

#include <algorithm>

namespace cogvx {
namespace {

constexpr int64_t kLatentFramesPerChunk = 2;
constexpr int64_t kFramesPerChunk = 8;
constexpr int64_t kTemporalCompression = 4;
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

int64_t times(int64_t lines, double factor) {
  return static_cast<int64_t>(static_cast<double>(lines) * factor);
}

// The tile's size in units of what goes in and of what comes out; `height` and `width` go in.
TileLayout lay_out(TileSize in, TileSize out, int64_t height, int64_t width) {
  if (in.height == 0 || (height <= in.height && width <= in.width))
    return {.tiles = {{0, 0, height, width}}};
  const int64_t step_y = times(in.height, 1 - kOverlapHeight);
  const int64_t step_x = times(in.width, 1 - kOverlapWidth);
  TileLayout layout{.columns = ceil_div(width, step_x),
                    .blend_height = times(out.height, kOverlapHeight),
                    .blend_width = times(out.width, kOverlapWidth)};
  layout.kept_height = out.height - layout.blend_height;
  layout.kept_width = out.width - layout.blend_width;
  for (int64_t top = 0; top < height; top += step_y) {
    for (int64_t left = 0; left < width; left += step_x) {
      layout.tiles.push_back(
          {top, left, std::min(in.height, height - top), std::min(in.width, width - left)});
    }
  }
  return layout;
}

TileSize in_latents(TileSize tile) {
  return {tile.height / kSpatialCompression, tile.width / kSpatialCompression};
}

// The first chunk takes what is left over.
std::vector<RowRange> chunks_of(int64_t frames, int64_t per_chunk) {
  const int64_t chunks = std::max<int64_t>(frames / per_chunk, 1);
  const int64_t remainder = frames % per_chunk;
  std::vector<RowRange> ranges;
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t begin = i == 0 ? 0 : per_chunk * i + remainder;
    ranges.push_back({begin, std::min(per_chunk * (i + 1) + remainder, frames)});
  }
  return ranges;
}

// A tile through its whole chain of chunks.
template <typename RunChunk>
at::Tensor run_tile(const at::Tensor& x_CTYX, const Tile& tile, const std::vector<RowRange>& chunks,
                    const RunChunk& run_chunk, const ChunkCallback& after_chunk) {
  const at::Tensor own = x_CTYX.narrow(2, tile.top, tile.height).narrow(3, tile.left, tile.width);
  CausalCache cache;
  std::vector<at::Tensor> results;
  for (const RowRange& chunk : chunks) {
    cache.last_chunk = chunk.end == chunks.back().end;
    results.push_back(run_chunk(own.narrow(1, chunk.begin, chunk.size()).contiguous(), cache));
    if (after_chunk) after_chunk(std::ssize(results), std::ssize(chunks));
  }
  return results.size() == 1 ? results[0] : at::cat(results, /*dim=*/1);
}

}  // namespace

TileSize default_tile(const VaeConfig& config) {
  return {config.sample_height / 2, config.sample_width / 2};
}

TileLayout plan_tiles(TileSize tile, int64_t latent_height, int64_t latent_width) {
  return lay_out(in_latents(tile), tile, latent_height, latent_width);
}

TileLayout plan_encoder_tiles(TileSize tile, int64_t height, int64_t width) {
  return lay_out(tile, in_latents(tile), height, width);
}

Tile largest_tile(const std::vector<Tile>& tiles) {
  const auto largest = std::max_element(
      tiles.begin(), tiles.end(),
      [](const Tile& a, const Tile& b) { return a.height * a.width < b.height * b.width; });
  return largest == tiles.end() ? Tile{} : *largest;
}

std::vector<RowRange> temporal_chunks(int64_t latent_frames) {
  return chunks_of(latent_frames, kLatentFramesPerChunk);
}

std::vector<RowRange> encoder_chunks(int64_t frames) { return chunks_of(frames, kFramesPerChunk); }

int64_t encoded_frames(int64_t frames) { return ceil_div(frames, kTemporalCompression); }

at::Tensor decode_tile(const VaeDecoder& decoder, const at::Tensor& latents_CtYX, const Tile& tile,
                       const ChunkCallback& after_chunk) {
  const auto run = [&](const at::Tensor& chunk, CausalCache& cache) {
    return decoder.decode_chunk(chunk, cache);
  };
  return run_tile(latents_CtYX, tile, temporal_chunks(latents_CtYX.size(1)), run, after_chunk);
}

at::Tensor encode_tile(const VaeEncoder& encoder, const at::Tensor& pixels_CTYX, const Tile& tile,
                       const ChunkCallback& after_chunk) {
  const auto run = [&](const at::Tensor& chunk, CausalCache& cache) {
    return encoder.encode_chunk(chunk, cache);
  };
  return run_tile(pixels_CTYX, tile, encoder_chunks(pixels_CTYX.size(1)), run, after_chunk);
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

#include "core/pipeline/encode.h"

#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/base/shapes.h"
#include "core/pipeline/finite.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

TensorShape moments_shape(const Encoding& run, int64_t frames, int64_t height, int64_t width) {
  return {{run.encoder.moment_channels(), encoded_frames(frames), height / kSpatialCompression,
           width / kSpatialCompression},
          run.encoder.dtype()};
}

// Encoded tiles, on the host -> moments there.
at::Tensor join_tiles(const TileLayout& layout, std::vector<at::Tensor> tiles, Ops& ops) {
  for (at::Tensor& tile : tiles) tile = ops.upload(tile);
  return ops.download(blend_tiles(layout, std::move(tiles), ops));
}

// On every owner, so that none waits for another that has left.
void check_moments(const at::Tensor& moments) {
  if (all_finite(moments)) return;
  const at::ScalarType dtype = moments.scalar_type();
  throw NumericError("encode: the image or video gave moments that are not finite in " +
                     std::string(dtype_name(dtype)) + "; " + cure_for_overflow(dtype));
}

}  // namespace

at::Tensor encode_video(const Encoding& run, const at::Tensor& pixels_CFYX,
                        const Monitor& monitor) {
  const int64_t frames = pixels_CFYX.size(1);
  const TileLayout layout = plan_encoder_tiles(run.tile, pixels_CFYX.size(2), pixels_CFYX.size(3));
  const int64_t total = std::ssize(layout.tiles);
  std::vector<TileJob> jobs;
  for (const Tile& tile : layout.tiles) {
    jobs.push_back({tile.height * tile.width, moments_shape(run, frames, tile.height, tile.width)});
  }
  int64_t done = 0;
  const auto encode = [&](int64_t i) {
    monitor.progress({Stage::kEncodeVideo, done, total});
    at::Tensor moments =
        encode_tile(run.encoder, pixels_CFYX, layout.tiles[i], [&](int64_t chunk, int64_t chunks) {
          monitor.progress({Stage::kEncodeVideo, done, total,
                            static_cast<double>(chunk) / static_cast<double>(chunks), chunk,
                            chunks});
        });
    ++done;
    if (run.watch.units != nullptr) ++run.watch.units->vae_tiles;
    if (run.watch.recorder != nullptr)
      run.watch.recorder->unit({Rung::Part::kEncode, 0, 0, /*layer=*/0}, i, moments);
    return moments;
  };
  std::vector<at::Tensor> tiles = run.work.run_tiles(jobs, encode);
  const at::Tensor moments =
      run.work.made_once(moments_shape(run, frames, pixels_CFYX.size(2), pixels_CFYX.size(3)),
                         [&] { return join_tiles(layout, std::move(tiles), run.encoder.ops()); });
  check_moments(moments);
  if (run.watch.recorder != nullptr)
    run.watch.recorder->whole({Rung::Part::kEncode, 0, 0, /*layer=*/1}, moments);
  monitor.progress({Stage::kEncodeVideo, total, total});
  return moments;
}

}  // namespace cogvx

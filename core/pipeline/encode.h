#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/monitor.h"
#include "core/pipeline/run_watch.h"
#include "core/pipeline/work_exchange.h"
#include "core/vae/encoder.h"
#include "core/vae/tile_size.h"

namespace cogvx {

// What encoding an image or a video works with; all of it must outlive the call.
struct Encoding {
  TileSize tile;
  const VaeEncoder& encoder;
  WorkExchange& work;
  RunWatch watch{};
};
// pixels_CFYX, -1 to 1, in the encoder's dtype, on the host and the same for every owner -> moments
// [2 * latent channels, L, Y/8, X/8] for every owner. Throws NumericError when they are not finite.
// diffusers: AutoencoderKLCogVideoX.encode.
at::Tensor encode_video(const Encoding& run, const at::Tensor& pixels_CFYX, const Monitor& monitor);

}  // namespace cogvx

#include "core/pipeline/conditions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include "core/pipeline/encode.h"
#include "core/pipeline/shared_noise.h"
#include "core/vae/pixels.h"
#include "core/vae/posterior.h"

namespace cogvx {
namespace {

// latents_CLYX -> scaled_LCYX
at::Tensor scaled(const at::Tensor& latents_CLYX, double factor) {
  return (latents_CLYX.permute({1, 0, 2, 3}) * factor).contiguous();
}

// The image is the first latent frame, the others are zeros.
at::Tensor first_of(const at::Tensor& image_LCYX, int64_t frames) {
  std::vector<int64_t> rest = image_LCYX.sizes().vec();
  rest[0] = frames - 1;
  return at::cat({image_LCYX, at::zeros(rest, image_LCYX.options())});
}

}  // namespace

Conditions encode_input(const Conditioning& run, const at::Tensor& rgb_FHW3,
                        at::Generator& generator, const Monitor& monitor) {
  const Request& request = run.request;
  if (request.task == Task::kTextToVideo) return {};
  const at::Tensor moments =
      encode_video({request.vae_tile, run.encoder, run.work, run.watch},
                   pixels_from_bytes(rgb_FHW3, run.encoder.dtype()), monitor);
  const double factor = run.vae.scaling_factor;
  if (request.task == Task::kControl)
    return {.channels_LCYX = scaled(mode_of(moments), factor), .video_LCYX = {}};
  const at::Tensor sample = sample_posterior(moments, shared_noise(run.work, generator));
  // Videos are never scaled the other way, not by 1.5 either.
  if (request.task == Task::kVideoToVideo)
    return {.channels_LCYX = {}, .video_LCYX = scaled(sample, factor)};
  const at::Tensor image = scaled(sample, run.vae.invert_scale_latents ? 1 / factor : factor);
  return {.channels_LCYX = first_of(image, run.latent_frames), .video_LCYX = {}};
}

}  // namespace cogvx

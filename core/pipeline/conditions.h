#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "core/base/monitor.h"
#include "core/pipeline/request.h"
#include "core/pipeline/run_watch.h"
#include "core/pipeline/work_exchange.h"
#include "core/vae/encoder.h"

namespace cogvx {

// What an image or a video gives the denoising, in the request's dtype; undefined: nothing.
struct Conditions {
  at::Tensor channels_LCYX;  // beside the noisy latents' channels, in every pass
  at::Tensor video_LCYX;     // that noise is added to, in place of beginning with noise alone
};

// What encoding an input works with; all of it must outlive the call.
struct Conditioning {
  const Request& request;
  const VaeConfig& vae;
  const VaeEncoder& encoder;
  int64_t latent_frames = 0;  // of the video that is made
  WorkExchange& work;
  RunWatch watch{};
};
// The request's image or frames, rgb_FHW3 -> its conditions, for every owner. Samples are drawn
// from `generator` before any other noise, as diffusers' pipelines do
// (pipeline_cogvideox_image2video.py, ..._video2video.py, ..._fun_control.py).
Conditions encode_input(const Conditioning& run, const at::Tensor& rgb_FHW3,
                        at::Generator& generator, const Monitor& monitor);

}  // namespace cogvx

#include "core/vae/causal.h"

#include <ATen/ops/empty.h>

#include <utility>

namespace cogvx {

namespace {

// The last frames of history and x, one behind the other.
at::Tensor last_frames(const at::Tensor& history_CTYX, const at::Tensor& x_CTYX) {
  const int64_t frames = x_CTYX.size(1);
  if (frames >= kCausalFrames)
    return x_CTYX.narrow(1, frames - kCausalFrames, kCausalFrames).clone();
  at::Tensor last = frames_like(x_CTYX, kCausalFrames);
  last.select(1, 0).copy_(history_CTYX.defined() ? history_CTYX.select(1, 1) : x_CTYX.select(1, 0));
  last.select(1, 1).copy_(x_CTYX.select(1, 0));
  return last;
}

}  // namespace

at::Tensor frames_like(const at::Tensor& like_CTYX, int64_t frames) {
  const int64_t channels = like_CTYX.size(0), height = like_CTYX.size(2), width = like_CTYX.size(3);
  if (like_CTYX.is_contiguous())
    return at::empty({channels, frames, height, width}, like_CTYX.options());
  return at::empty({frames, height, width, channels}, like_CTYX.options()).permute({3, 0, 1, 2});
}

at::Tensor causal_convolution(const ChunkRun& run, ConvCall call, const ConvWeights& conv) {
  at::Tensor& kept = run.cache.frames[&conv];
  call.history_CTYX = std::exchange(kept, {});
  if (!run.cache.last_chunk) kept = last_frames(call.history_CTYX, call.x_CTYX);
  return run.ops.convolution(std::move(call), conv);
}

ConvWeights VaeLayerLoader::convolution(const std::string& name, int64_t out, int64_t in,
                                        int64_t kernel) {
  return packed(name, lend(name + ".weight", {out, in, kernel, kernel, kernel}), /*stride=*/1);
}

ConvWeights VaeLayerLoader::frame_convolution(const std::string& name, int64_t channels,
                                              int64_t stride) {
  return packed(name, lend(name + ".weight", {channels, channels, 3, 3}).unsqueeze(2), stride);
}

NormWeights VaeLayerLoader::norm(const std::string& name, int64_t channels, double eps) {
  return {ops_.upload(take(name + ".weight", {channels}).to(at::kFloat)),
          ops_.upload(take(name + ".bias", {channels}).to(at::kFloat)), eps};
}

at::Tensor VaeLayerLoader::take(const std::string& name, at::IntArrayRef shape) {
  return weights_.take(part_ + name, shape, dtype_);
}

at::Tensor VaeLayerLoader::lend(const std::string& name, at::IntArrayRef shape) {
  return weights_.lend(part_ + name, shape, dtype_);
}

ConvWeights VaeLayerLoader::packed(const std::string& name, const at::Tensor& weight,
                                   int64_t stride) {
  return ops_.pack_convolution(weight, take(name + ".bias", {weight.size(0)}), stride);
}

}  // namespace cogvx

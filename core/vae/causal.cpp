#include "core/vae/causal.h"

#include <ATen/ops/empty.h>

namespace cogvx {

CausalInput causal_input(const at::Tensor& like_CTYX) {
  const int64_t frames = like_CTYX.size(1);
  const at::Tensor padded =
      at::empty({like_CTYX.size(0), frames + kCausalFrames, like_CTYX.size(2), like_CTYX.size(3)},
                like_CTYX.options());
  return {padded, padded.narrow(1, kCausalFrames, frames)};
}

at::Tensor causal_convolution(const CausalInput& input, const ConvWeights& conv, CausalCache& cache,
                              Ops& ops) {
  const at::Tensor& padded = input.padded_CTYX;
  at::Tensor history = padded.narrow(1, 0, kCausalFrames);
  at::Tensor& cached = cache[&conv];
  history.copy_(cached.defined() ? cached : input.frames_CTYX.narrow(1, 0, 1).expand_as(history));
  cached = padded.narrow(1, padded.size(1) - kCausalFrames, kCausalFrames).clone();
  return ops.convolution(padded, conv);
}

ConvWeights VaeLayerLoader::convolution(const std::string& name, int64_t out, int64_t in,
                                        int64_t kernel) {
  return {take(name + ".weight", {out, in, kernel, kernel, kernel}), take(name + ".bias", {out})};
}

ConvWeights VaeLayerLoader::frame_convolution(const std::string& name, int64_t channels,
                                              int64_t stride) {
  return {take(name + ".weight", {channels, channels, 3, 3}).unsqueeze(2),
          take(name + ".bias", {channels}), stride};
}

NormWeights VaeLayerLoader::norm(const std::string& name, int64_t channels, double eps) {
  return {take(name + ".weight", {channels}).to(at::kFloat),
          take(name + ".bias", {channels}).to(at::kFloat), eps};
}

at::Tensor VaeLayerLoader::take(const std::string& name, at::IntArrayRef shape) {
  return ops_.upload(weights_.take(part_ + name, shape, dtype_));
}

}  // namespace cogvx

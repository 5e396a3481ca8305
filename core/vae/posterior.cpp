#include "core/vae/posterior.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/exp.h>

namespace cogvx {

at::Tensor sample_posterior(const at::Tensor& moments, const NoiseDraw& draw) {
  const int64_t channels = moments.size(0) / 2;
  const at::Tensor mean = mode_of(moments);
  const at::Tensor log_variance = at::clamp(moments.narrow(0, channels, channels), -30.0, 20.0);
  const at::Tensor deviation = at::exp(0.5 * log_variance);
  return mean + deviation * draw(mean.sizes().vec(), moments.scalar_type());
}

at::Tensor mode_of(const at::Tensor& moments) {
  return moments.narrow(0, 0, moments.size(0) / 2).clone();
}

}  // namespace cogvx

#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/random.h"

namespace cogvx {

// What the encoder's moments [2C, t, y, x], mean above log variance, say of the latents (diffusers:
// DiagonalGaussianDistribution). Both -> [C, t, y, x] in the moments' dtype.

// One draw of the latents' shape, in the moments' dtype.
at::Tensor sample_posterior(const at::Tensor& moments, const NoiseDraw& draw);
at::Tensor mode_of(const at::Tensor& moments);

}  // namespace cogvx

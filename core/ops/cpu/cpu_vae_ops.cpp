#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/round.h>

#include "core/ops/cpu/convolution.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cpu/norm_silu.h"

namespace cogvx {

ConvWeights CpuOps::pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                                     int64_t stride) {
  return cpu::pack_convolution(pool_, weight, bias, stride);
}

at::Tensor CpuOps::convolution(ConvCall call, const ConvWeights& weights) {
  return cpu::convolution({pool_, kernels_}, call, weights);
}

void CpuOps::norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) {
  cpu::norm_silu({pool_, kernels_}, x_CTYX, call, y_CTYX);
}

void CpuOps::fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) {
  const int64_t lines = tile_CTYX.size(dim);
  for (int64_t i = 0; i < lines; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(lines);
    at::Tensor line = tile_CTYX.select(dim, i);
    line.copy_(before_CTYX.select(dim, i) * (1 - share) + line * share);
  }
}

// Frame by frame, which keeps what lies between small.
at::Tensor CpuOps::to_rgb(const at::Tensor& x_CTYX) {
  const int64_t frames = x_CTYX.size(1);
  at::Tensor rgb_TYXC =
      at::empty({frames, x_CTYX.size(2), x_CTYX.size(3), x_CTYX.size(0)}, at::kByte);
  for (int64_t i = 0; i < frames; ++i) {
    const at::Tensor unit = at::clamp(x_CTYX.select(1, i) * 0.5 + 0.5, 0, 1).to(at::kFloat);
    rgb_TYXC[i].copy_(at::round(unit * 255.0).to(at::kByte).permute({1, 2, 0}));
  }
  return rgb_TYXC;
}

}  // namespace cogvx

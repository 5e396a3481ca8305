#pragma once

#include <ATen/ops/empty.h>

#include "core/ops/formulas.h"
#include "tests/support/fake_device.h"

namespace cogvx::test {

// The fake device's Ops with the tensors in between that CudaOps makes: formulas run there, op by
// op, and a convolution holds a workspace as large as its input and output.
class CudaLikeOps final : public PassingOps {
 public:
  explicit CudaLikeOps(Ops& fake_device_ops) : PassingOps(fake_device_ops) {}

  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun>,
                 at::Tensor& out_HNE) override {
    for (int64_t head = 0; head < qkv_H3NE.size(0); ++head)
      out_HNE.select(0, head).copy_(formulas::attend_head(qkv_H3NE[head].contiguous()));
  }
  at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) override {
    return formulas::rms_norm(x, weight, eps);
  }
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias) override {
    return formulas::biased_attention(q, k, v, bias);
  }
  at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up) override {
    return formulas::gated_gelu(gate, up);
  }
  at::Tensor convolution(ConvCall call, const ConvWeights& w) override {
    const at::Tensor input = formulas::convolution_input(call, w);
    const int64_t before = w.kernel.frames - 1, frames = input.size(1) - before;
    const int64_t behind = w.stride - 1, height = input.size(2) - behind,
                  width = input.size(3) - behind;
    const int64_t output = w.out * frames * (height / w.stride) * (width / w.stride);
    const at::Tensor workspace = at::empty({input.numel() + output}, input.options());
    const at::Tensor x = input.narrow(1, before, frames).narrow(2, 0, height).narrow(3, 0, width);
    const at::Tensor history = before > 0 ? input.narrow(1, 0, before) : at::Tensor();
    const at::Tensor y = inner_.convolution({.x_CTYX = x, .history_CTYX = history}, w);
    return formulas::convolution_result(call, y);
  }
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override {
    formulas::norm_silu(x, call, y);
  }
};

}  // namespace cogvx::test

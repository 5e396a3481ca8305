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
  at::Tensor convolution(const at::Tensor& x, const ConvWeights& weights) override {
    const int64_t frames = x.size(1) - weights.weight.size(2) + 1;
    const int64_t output = weights.weight.size(0) * frames * (x.size(2) / weights.stride) *
                           (x.size(3) / weights.stride);
    const at::Tensor workspace = at::empty({x.numel() + output}, x.options());
    return inner_.convolution(x, weights);
  }
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override {
    formulas::norm_silu(x, call, y);
  }
  at::Tensor upsample(const at::Tensor& x, bool in_time) override {
    return formulas::upsample(x, in_time);
  }
};

}  // namespace cogvx::test

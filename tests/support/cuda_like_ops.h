#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/slow_conv3d_forward.h>

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
  ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                               int64_t stride) override {
    return formulas::plain_convolution(upload(weight), upload(bias), stride);
  }
  at::Tensor convolution(ConvCall call, const ConvWeights& w) override {
    const at::Tensor x = formulas::convolution_input(call, w).unsqueeze(0).contiguous();
    const int64_t pad_y = w.padding(w.kernel.height), pad_x = w.padding(w.kernel.width);
    const at::Tensor y =
        at::slow_conv3d_forward(x, w.packed, {w.kernel.frames, w.kernel.height, w.kernel.width},
                                w.bias, {1, w.stride, w.stride}, {0, pad_y, pad_x});
    const at::Tensor workspace = at::empty({x.numel() + y.numel()}, x.options());
    return formulas::convolution_result(call, y.squeeze(0));
  }
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override {
    formulas::norm_silu(x, call, y);
  }
};

}  // namespace cogvx::test

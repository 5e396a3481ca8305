#pragma once

#include <memory>
#include <utility>

#include "core/ops/ops.h"

namespace cogvx {

// Ops whose linear layers live on the host: each is packed for the device when it is used and gone
// right after, so that the largest of them is all that lies there. The calls are the inner Ops',
// and so are the bytes; only weights move. Other weights (norms, convolutions) stay on the device.
class SequentialOffload final : public Ops {
 public:
  explicit SequentialOffload(std::unique_ptr<Ops> inner) : inner_(std::move(inner)) {}

  at::Device device() const override { return inner_->device(); }
  at::Tensor upload(const at::Tensor& host) override { return inner_->upload(host); }
  at::Tensor download(const at::Tensor& result) override { return inner_->download(result); }
  int64_t take_peak_bytes() override { return inner_->take_peak_bytes(); }
  // One layer of each kind is there while its kernel is tried.
  void prepare(const SharedCalls& calls) override {
    SharedCalls there = calls;
    for (SharedLinear& layer : there.linears)
      layer.weights = inner_->pack_linear(layer.weights.packed, layer.weights.bias);
    inner_->prepare(there);
  }
  // Copies: what it is given may lie in a file.
  LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) override {
    return {.in = weight_NK.size(1),
            .out = weight_NK.size(0),
            .dtype = weight_NK.scalar_type(),
            .packed = weight_NK.clone(),
            .bias = bias_N};
  }
  at::Tensor linear(const at::Tensor& x_RK, const LinearWeights& host,
                    const LinearCall& call) override {
    return inner_->linear(x_RK, inner_->pack_linear(host.packed, host.bias), call);
  }
  at::Tensor modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                            const RowVectors& shift, const RowVectors& scale,
                            RowSplit split) override {
    return inner_->modulated_norm(x_RD, norm, shift, scale, split);
  }
  void gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                 RowSplit split) override {
    inner_->gated_add(x_RD, y_RD, gate, split);
  }
  void add_linear(at::Tensor& x_RD, const at::Tensor& y_RK, const LinearWeights& host,
                  const GatedLinearCall& call) override {
    inner_->add_linear(x_RD, y_RK, inner_->pack_linear(host.packed, host.bias), call);
  }
  void prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& qkv_H3RE) override {
    inner_->prepare_qkv(qkv_R3D, preparation, split, qkv_H3RE);
  }
  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE) override {
    inner_->attention(qkv_H3NE, runs, out_HNE);
  }
  at::Tensor rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) override {
    return inner_->rms_norm(x_RD, weight_D, eps);
  }
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias_HRR) override {
    return inner_->biased_attention(q, k, v, bias_HRR);
  }
  at::Tensor gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) override {
    return inner_->gated_gelu(gate_RD, up_RD);
  }
  ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                               int64_t stride) override {
    return inner_->pack_convolution(weight, bias, stride);
  }
  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override {
    return inner_->convolution(std::move(call), weights);
  }
  void norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) override {
    inner_->norm_silu(x_CTYX, call, y_CTYX);
  }
  void fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) override {
    inner_->fade(before_CTYX, tile_CTYX, dim);
  }
  at::Tensor to_rgb(const at::Tensor& x_CTYX) override { return inner_->to_rgb(x_CTYX); }

 private:
  std::unique_ptr<Ops> inner_;
};

}  // namespace cogvx

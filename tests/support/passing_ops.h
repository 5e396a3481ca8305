#pragma once

#include <span>
#include <utility>

#include "core/ops/ops.h"

namespace cogvx::test {

// Passes every call on; what is derived from it changes or records some.
class PassingOps : public Ops {
 public:
  explicit PassingOps(Ops& inner) : inner_(inner) {}
  // Else one that is made of another would copy it.
  PassingOps(const PassingOps&) = delete;
  PassingOps& operator=(const PassingOps&) = delete;

  at::Device device() const override { return inner_.device(); }
  at::Tensor upload(const at::Tensor& host) override { return inner_.upload(host); }
  at::Tensor download(const at::Tensor& result) override { return inner_.download(result); }
  int64_t take_peak_bytes() override { return inner_.take_peak_bytes(); }
  void prepare(const SharedCalls& calls) override { inner_.prepare(calls); }
  LinearWeights pack_linear(const at::Tensor& weight, const at::Tensor& bias) override {
    return inner_.pack_linear(weight, bias);
  }
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    return inner_.linear(x, weights, call);
  }
  at::Tensor modulated_norm(const at::Tensor& x, const NormWeights& norm, const RowVectors& shift,
                            const RowVectors& scale, RowSplit split) override {
    return inner_.modulated_norm(x, norm, shift, scale, split);
  }
  void gated_add(at::Tensor& x, const at::Tensor& y, const RowVectors& gate,
                 RowSplit split) override {
    inner_.gated_add(x, y, gate, split);
  }
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    inner_.add_linear(x, y, weights, call);
  }
  void prepare_qkv(const at::Tensor& qkv, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& out) override {
    inner_.prepare_qkv(qkv, preparation, split, out);
  }
  void attention(const at::Tensor& qkv, std::span<const AttentionRun> runs,
                 at::Tensor& out) override {
    inner_.attention(qkv, runs, out);
  }
  at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) override {
    return inner_.rms_norm(x, weight, eps);
  }
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias) override {
    return inner_.biased_attention(q, k, v, bias);
  }
  at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up) override {
    return inner_.gated_gelu(gate, up);
  }
  ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                               int64_t stride) override {
    return inner_.pack_convolution(weight, bias, stride);
  }
  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override {
    return inner_.convolution(std::move(call), weights);
  }
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override {
    inner_.norm_silu(x, call, y);
  }
  void fade(const at::Tensor& before, at::Tensor& tile, int64_t dim) override {
    inner_.fade(before, tile, dim);
  }
  at::Tensor to_rgb(const at::Tensor& x) override { return inner_.to_rgb(x); }

 protected:
  Ops& inner_;
};

}  // namespace cogvx::test

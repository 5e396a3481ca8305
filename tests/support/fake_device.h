#pragma once

#include <cstdint>

#include "tests/support/passing_ops.h"

namespace cogvx::test {

// A device of our own inside ATen ("PrivateUse1"), whose memory is the host's: it computes what the
// CPU computes, but every ATen operation refuses to mix its tensors with the host's, as CUDA does.
at::Device fake_device();

// Copies between the host and the fake device, by whatever made them, and the device's memory.
struct DeviceTraffic {
  int64_t to_device = 0;
  int64_t to_host = 0;
  bool operator==(const DeviceTraffic&) const = default;
};
DeviceTraffic device_traffic();
int64_t device_bytes();

// Computes on the fake device with the inner Ops' formulas. Throws std::logic_error for a tensor
// that does not lie there, and for one that is uploaded from or downloaded to the wrong side.
class FakeDeviceOps final : public PassingOps {
 public:
  using PassingOps::PassingOps;

  // Calls of upload and those that pack weights that moved something, and of download.
  const DeviceTraffic& asked() const { return asked_; }

  at::Device device() const override { return fake_device(); }
  int64_t take_peak_bytes() override;
  at::Tensor upload(const at::Tensor& host) override;
  at::Tensor download(const at::Tensor& result) override;
  LinearWeights pack_linear(const at::Tensor& weight, const at::Tensor& bias) override;
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override;
  at::Tensor modulated_norm(const at::Tensor& x, const NormWeights& norm, const RowVectors& shift,
                            const RowVectors& scale, RowSplit split) override;
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override;
  void gated_add(at::Tensor& x, const at::Tensor& y, const RowVectors& gate,
                 RowSplit split) override;
  void prepare_qkv(const at::Tensor& qkv, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& out) override;
  void attention(const at::Tensor& qkv, std::span<const AttentionRun> runs,
                 at::Tensor& out) override;
  at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) override;
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias) override;
  at::Tensor gated_gelu(const at::Tensor& gate, const at::Tensor& up) override;
  ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                               int64_t stride) override;
  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override;
  void norm_silu(const at::Tensor& x, const NormSiluCall& call, at::Tensor& y) override;
  void fade(const at::Tensor& before, at::Tensor& tile, int64_t dim) override;
  at::Tensor to_rgb(const at::Tensor& x) override;

 private:
  DeviceTraffic asked_;
};

}  // namespace cogvx::test

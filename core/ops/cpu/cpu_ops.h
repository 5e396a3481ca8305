#pragma once

#include "core/base/thread_pool.h"
#include "core/ops/cpu/kernels.h"
#include "core/ops/ops.h"

namespace cogvx {

// Ops on fp32 or bf16 CPU tensors, units spread over a thread pool that must outlive it.
class CpuOps final : public Ops {
 public:
  CpuOps(ThreadPool& pool, cpu::CpuPath path) : pool_(pool), kernels_(cpu::kernels_of(path)) {}

  at::Device device() const override { return at::kCPU; }
  at::Tensor upload(const at::Tensor& host) override { return host; }
  at::Tensor download(const at::Tensor& result) override { return result; }
  int64_t take_peak_bytes() override { return 0; }
  void prepare(const SharedCalls&) override {}
  LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) override;
  at::Tensor linear(const at::Tensor& x_RK, const LinearWeights& weights,
                    const LinearCall& call) override;
  at::Tensor modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                            const RowVectors& shift, const RowVectors& scale,
                            RowSplit split) override;
  void gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                 RowSplit split) override;
  void add_linear(at::Tensor& x_RD, const at::Tensor& y_RK, const LinearWeights& weights,
                  const GatedLinearCall& call) override;
  void prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& qkv_H3RE) override;
  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE) override;
  at::Tensor rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) override;
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias_HRR) override;
  at::Tensor gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) override;
  ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                               int64_t stride) override;
  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override;
  void norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) override;
  void fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) override;
  at::Tensor to_rgb(const at::Tensor& x_CTYX) override;

 private:
  ThreadPool& pool_;
  const cpu::Kernels& kernels_;
};

}  // namespace cogvx

#pragma once

#include <c10/cuda/CUDAStream.h>
#include <cublasLt.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/ops/attention_kernel.h"
#include "core/ops/cuda/gemm.h"
#include "core/ops/ops.h"
#include "core/ops/planner.h"

namespace cogvx::cuda {

struct CudaOpsSettings {
  int device = 0;  // among those the process sees
  AttentionKernel attention = AttentionKernel::kFlash;
};

// Ops on one GPU, on the calling thread's current stream. One thread uses it; work is queued and
// only download waits for it. Throws DeviceError, and MemoryError where the GPU's memory is full.
class CudaOps final : public Ops {
 public:
  // Reserves workspace and sets what decides bytes in libtorch: no TF32, no autotune,
  // deterministic.
  CudaOps(const CudaOpsSettings& settings, Planner planner);

  at::Device device() const override { return device_; }
  at::Tensor upload(const at::Tensor& host) override;
  // Through pinned memory; returns when the bytes are there.
  at::Tensor download(const at::Tensor& result) override;
  int64_t take_peak_bytes() override;
  void prepare(const SharedCalls& calls) override;
  LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) override;
  // Throws std::out_of_range for a shared layer that was not prepared.
  at::Tensor linear(const at::Tensor& x_RK, const LinearWeights& weights,
                    const LinearCall& call) override;
  at::Tensor modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                            const RowVectors& shift, const RowVectors& scale,
                            RowSplit split) override;
  void gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                 RowSplit split) override;
  void prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& qkv_H3RE) override;
  // Whole heads only: throws std::logic_error for a run that is less.
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
  struct DestroyHandle {
    void operator()(cublasLtContext* handle) const { cublasLtDestroy(handle); }
  };
  // Multiplies with the weights of the call being made: layers of one shape share it.
  RowKernel pick(const GemmLayer& layer, int64_t rows);
  HeadKernel head_kernel();
  // The canonical call: each head on its own, over several streams.
  void attend_one_by_one(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE);

  at::Device device_;
  AttentionKernel kernel_;
  Planner planner_;
  std::unique_ptr<cublasLtContext, DestroyHandle> handle_;
  at::Tensor gemm_workspace_B_;
  std::vector<c10::cuda::CUDAStream> side_streams_;
  std::map<std::pair<GemmLayer, RowRange>, RowPlan> shared_plans_;  // by rows that are shared
  std::map<std::pair<GemmLayer, int64_t>, RowKernel> own_kernels_;  // by rows of the call
  HeadPlan attend_;                                                 // undefined: one by one
  const LinearWeights* weights_of_call_ = nullptr;
};

}  // namespace cogvx::cuda

#pragma once

#include <ATen/core/Tensor.h>
#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <string>

#include "core/ops/chooser.h"
#include "core/ops/ops.h"

// One matrix multiplication of cuBLASLt with everything that decides its bytes.
namespace cogvx::cuda {

// A layer as cuBLASLt sees it; equal layers share one algorithm.
struct GemmLayer {
  int64_t in = 0;   // K
  int64_t out = 0;  // N
  at::ScalarType dtype = at::kFloat;
  bool has_bias = false;
  bool has_gelu = false;
  auto operator<=>(const GemmLayer&) const = default;
};

// Reserved before any work; no algorithm that wants more is ever picked.
constexpr int64_t kGemmWorkspaceBytes = 32 << 20;
// What pointers are aligned to: a picked algorithm must do with it at every row.
constexpr uint32_t kGemmAlignment = 16;

// The algorithm that cuBLASLt's heuristic names first for so many rows: no split of K, no reduction
// between blocks, fp32 sums. The same for every call.
class Gemm {
 public:
  // Throws DeviceError where there is none.
  Gemm(cublasLtHandle_t handle, const GemmLayer& layer, int64_t rows);

  // The algorithm's own words, in hexadecimal; equal ids are equal algorithms.
  std::string id() const;
  int64_t workspace_bytes() const { return workspace_bytes_; }
  // y_RN = activation(x_RK w^T + bias); rows lie side by side, begin at multiples of
  // kGemmAlignment. Throws DeviceError where the algorithm does not take so many rows: never takes
  // another.
  void run(const at::Tensor& x_RK, const LinearWeights& weights, const at::Tensor& workspace_B,
           const at::Tensor& y_RN) const;

 private:
  cublasLtHandle_t handle_;
  GemmLayer layer_;
  cublasLtMatmulAlgo_t algorithm_{};
  int64_t workspace_bytes_ = 0;
};

}  // namespace cogvx::cuda

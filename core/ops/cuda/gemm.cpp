// GPU only: guarded by its callers' checks.

#include "core/ops/cuda/gemm.h"

#include <c10/cuda/CUDAStream.h>

#include <cstdio>
#include <memory>

#include "core/base/errors.h"

namespace cogvx::cuda {
namespace {

std::string layer_text(const GemmLayer& layer, int64_t rows) {
  return std::to_string(rows) + " x " + std::to_string(layer.in) + " to " +
         std::to_string(layer.out);
}

// GPU only: guarded by the status of every call of cuBLASLt, which is an error here.
void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string text = std::string("CUDA: ") + call + ": " + cublasLtGetStatusName(status);
  if (status == CUBLAS_STATUS_ALLOC_FAILED)
    throw MemoryError(text + "; use a smaller size or fewer frames");
  throw DeviceError(text + "; check the driver, or run on the CPU");
}

cudaDataType_t data_type(at::ScalarType dtype) {
  return dtype == at::kFloat ? CUDA_R_32F : dtype == at::kHalf ? CUDA_R_16F : CUDA_R_16BF;
}

template <auto destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using Description =
    std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroyer<&cublasLtMatmulDescDestroy>>;
using Layout =
    std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroyer<&cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroyer<&cublasLtMatmulPreferenceDestroy>>;

// GPU only: guarded by check(), and by the planner's check of the algorithm that is run with it.
Description describe(const GemmLayer& layer, const void* bias) {
  cublasLtMatmulDesc_t raw = nullptr;
  check(cublasLtMatmulDescCreate(&raw, CUBLAS_COMPUTE_32F, CUDA_R_32F), "MatmulDescCreate");
  Description description(raw);
  const auto set = [&](cublasLtMatmulDescAttributes_t name, const auto& value) {
    check(cublasLtMatmulDescSetAttribute(raw, name, &value, sizeof value), "DescSetAttribute");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  const int epilogue =
      (layer.has_bias ? CUBLASLT_EPILOGUE_BIAS : 0) | (layer.has_gelu ? CUBLASLT_EPILOGUE_GELU : 0);
  if (epilogue != 0) set(CUBLASLT_MATMUL_DESC_EPILOGUE, cublasLtEpilogue_t(epilogue));
  if (layer.has_bias) {
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data_type(layer.dtype));
  }
  return description;
}

// Its columns are our rows.
Layout columns(at::ScalarType dtype, int64_t height, int64_t width) {
  cublasLtMatrixLayout_t raw = nullptr;
  check(cublasLtMatrixLayoutCreate(&raw, data_type(dtype), height, width, height), "LayoutCreate");
  return Layout(raw);
}

// The operands of one call: w^T [K, N], x^T [K, R] and y^T [N, R], column by column.
struct Operands {
  Operands(const GemmLayer& layer, int64_t rows, const void* bias)
      : description(describe(layer, bias)),
        w(columns(layer.dtype, layer.in, layer.out)),
        x(columns(layer.dtype, layer.in, rows)),
        y(columns(layer.dtype, layer.out, rows)) {}
  Description description;
  Layout w;
  Layout x;
  Layout y;
};

// GPU only: guarded by check(); what it asks for is asserted of what comes back.
Preference wanted() {
  cublasLtMatmulPreference_t raw = nullptr;
  check(cublasLtMatmulPreferenceCreate(&raw), "PreferenceCreate");
  Preference preference(raw);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(raw, name, &value, sizeof value), "PreferenceSet");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kGemmWorkspaceBytes));
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(CUBLASLT_REDUCTION_SCHEME_NONE));
  for (const auto name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(name, kGemmAlignment);
  }
  return preference;
}

// GPU only: guarded by check(); an algorithm that splits K is not taken.
uint32_t splits_of(const cublasLtMatmulAlgo_t& algorithm) {
  uint32_t splits = 0;
  size_t written = 0;
  check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits,
                                             sizeof splits, &written),
        "AlgoConfigGetAttribute");
  return splits;
}

}  // namespace

// GPU only: guarded by check(), and by the planner's check of what it picks.
Gemm::Gemm(cublasLtHandle_t handle, const GemmLayer& layer, int64_t rows)
    : handle_(handle), layer_(layer) {
  constexpr int kCandidates = 16;
  cublasLtMatmulHeuristicResult_t found[kCandidates];
  int count = 0;
  // Of the bias only the address's alignment is looked at.
  const Operands o(layer, rows, reinterpret_cast<const void*>(uintptr_t{kGemmAlignment}));
  check(cublasLtMatmulAlgoGetHeuristic(handle, o.description.get(), o.w.get(), o.x.get(), o.y.get(),
                                       o.y.get(), wanted().get(), kCandidates, found, &count),
        "MatmulAlgoGetHeuristic");
  for (int i = 0; i < count; ++i) {
    if (found[i].state != CUBLAS_STATUS_SUCCESS || splits_of(found[i].algo) > 1) continue;
    algorithm_ = found[i].algo;
    workspace_bytes_ = static_cast<int64_t>(found[i].workspaceSize);
    return;
  }
  throw DeviceError("CUDA: cuBLASLt has no algorithm without a split of K for " +
                    layer_text(layer, rows) + "; use another --dtype, or run on the CPU");
}

std::string Gemm::id() const {
  std::string text;
  for (const uint64_t word : algorithm_.data) {
    char part[20];
    std::snprintf(part, sizeof part, "%s%llx", text.empty() ? "" : ".",
                  static_cast<unsigned long long>(word));
    text += part;
  }
  return text;
}

// GPU only: guarded by cublasLtMatmulAlgoCheck before every call and by the planner's check.
void Gemm::run(const at::Tensor& x_RK, const LinearWeights& weights, const at::Tensor& workspace_B,
               const at::Tensor& y_RN) const {
  const int64_t rows = x_RK.size(0);
  const void* bias = layer_.has_bias ? weights.bias.const_data_ptr() : nullptr;
  const Operands o(layer_, rows, bias);
  cublasLtMatmulHeuristicResult_t fit{};
  const cublasStatus_t fits = cublasLtMatmulAlgoCheck(
      handle_, o.description.get(), o.w.get(), o.x.get(), o.y.get(), o.y.get(), &algorithm_, &fit);
  if (fits != CUBLAS_STATUS_SUCCESS ||
      static_cast<int64_t>(fit.workspaceSize) > workspace_B.numel())
    throw DeviceError("CUDA: the algorithm picked for the whole sequence does not take " +
                      layer_text(layer_, rows) + "; use another --sp, or run on the CPU");
  const float one = 1, zero = 0;
  check(cublasLtMatmul(handle_, o.description.get(), &one, weights.packed.const_data_ptr(),
                       o.w.get(), x_RK.const_data_ptr(), o.x.get(), &zero, y_RN.const_data_ptr(),
                       o.y.get(), y_RN.mutable_data_ptr(), o.y.get(), &algorithm_,
                       workspace_B.mutable_data_ptr(), static_cast<size_t>(workspace_B.numel()),
                       c10::cuda::getCurrentCUDAStream()),
        "Matmul");
}

}  // namespace cogvx::cuda

// GPU only: guarded by the status of what it calls, and by the tests of core/ops/formulas.

#include "core/ops/cuda/cuda_ops.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

#include <utility>

#include "core/base/errors.h"
#include "core/ops/cuda/kernel_calls.h"
#include "core/ops/formulas.h"

namespace cogvx::cuda {
namespace {

constexpr int kSideStreams = 4;

GemmLayer gemm_layer(const LinearWeights& w, Activation activation) {
  return {w.in, w.out, w.dtype, w.bias.defined(), activation == Activation::kGeluTanh};
}

// GPU only: guarded by the code that every launcher returns.
template <typename Call>
void launch_here(const Call& call, const char* name) {
  const int code = launch(call, c10::cuda::getCurrentCUDAStream().stream());
  if (code == 0) return;
  const std::string text = std::string("CUDA: ") + name + ": " + launch_error(code);
  if (is_out_of_memory(code)) throw MemoryError(text + "; use a smaller size or fewer frames");
  throw DeviceError(text + "; check the driver, or run on the CPU");
}

// GPU only: guarded by the status of the one call.
cublasLtHandle_t make_handle() {
  cublasLtHandle_t handle = nullptr;
  if (const cublasStatus_t status = cublasLtCreate(&handle); status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError(std::string("CUDA: cuBLASLt does not start: ") +
                      cublasLtGetStatusName(status) + "; check the driver, or run on the CPU");
  return handle;
}

}  // namespace

// GPU only: guarded by c10's own checks of each call, which throw.
CudaOps::CudaOps(const CudaOpsSettings& settings, Planner planner)
    : device_(at::kCUDA, static_cast<c10::DeviceIndex>(settings.device)),
      kernel_(settings.attention),
      planner_(std::move(planner)) {
  c10::cuda::set_device(device_.index());
  at::globalContext().lazyInitDevice(at::kCUDA);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  handle_.reset(make_handle());
  gemm_workspace_B_ =
      at::empty({kGemmWorkspaceBytes}, at::TensorOptions().dtype(at::kByte).device(device_));
  for (int i = 0; i < kSideStreams; ++i)
    side_streams_.push_back(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index()));
}

at::Tensor CudaOps::upload(const at::Tensor& host) { return host.contiguous().to(device_); }

// GPU only: guarded by the copy, which waits for all work queued and throws what it failed with.
at::Tensor CudaOps::download(const at::Tensor& result) {
  at::Tensor host =
      at::empty(result.sizes(), result.options().device(at::kCPU).pinned_memory(true));
  return host.copy_(result);
}

// GPU only: guarded by nothing; it only reports.
int64_t CudaOps::take_peak_bytes() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device_.index());
  c10::cuda::CUDACachingAllocator::resetPeakStats(device_.index());
  return stats.allocated_bytes[0].peak;
}

LinearWeights CudaOps::pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) {
  return {.in = weight_NK.size(1),
          .out = weight_NK.size(0),
          .dtype = weight_NK.scalar_type(),
          .packed = upload(weight_NK),
          .bias = bias_N.defined() ? upload(bias_N.to(weight_NK.scalar_type())) : at::Tensor()};
}

// GPU only: guarded by the chooser, which checks what is picked for rows that are shared out.
RowKernel CudaOps::pick(const GemmLayer& layer, int64_t rows) {
  const auto gemm = std::make_shared<Gemm>(handle_.get(), layer, rows);
  return {gemm->id(), gemm->workspace_bytes(), [this, gemm](const RowCall& call) {
            gemm->run(call.x_RK, *weights_of_call_, call.workspace_B, call.y_RN);
          }};
}

// GPU only: guarded by the chooser, which it calls.
void CudaOps::prepare(const SharedCalls& calls) {
  for (const SharedLinear& one : calls.linears) {
    weights_of_call_ = &one.weights;
    const GemmLayer layer = gemm_layer(one.weights, one.activation);
    shared_plans_[{layer, one.rows}] = planner_.rows(
        {one.name, calls.rows, one.rows, one.weights.in, one.weights.out, one.weights.dtype},
        [&](int64_t rows) { return pick(layer, rows); }, device_);
  }
  attend_ = planner_.heads({"attention", calls.heads, calls.rows, calls.head_dim, calls.dtype},
                           head_kernel(), device_);
}

at::Tensor CudaOps::linear(const at::Tensor& x_RK, const LinearWeights& weights,
                           const LinearCall& call) {
  const int64_t rows = x_RK.size(0);
  at::Tensor y_RN = at::empty({rows, weights.out}, x_RK.options());
  if (rows == 0) return y_RN;
  at::Tensor x = x_RK.contiguous();
  if (reinterpret_cast<uintptr_t>(x.const_data_ptr()) % kGemmAlignment != 0) x = x.clone();
  weights_of_call_ = &weights;
  const GemmLayer layer = gemm_layer(weights, call.activation);
  if (call.shared.size() > 0) {
    shared_plans_.at({layer, call.shared})(x, call.first_row, y_RN);
  } else {
    RowKernel& kernel = own_kernels_[{layer, rows}];
    if (!kernel.run) kernel = pick(layer, rows);
    kernel.run({x, y_RN, gemm_workspace_B_});
  }
  if (call.activation == Activation::kSilu) at::silu_(y_RN);
  return y_RN;
}

at::Tensor CudaOps::modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                                   const RowVectors& shift, const RowVectors& scale,
                                   RowSplit split) {
  const at::Tensor x = x_RD.contiguous();
  at::Tensor y_RD = at::empty(x.sizes(), x.options());
  ModulatedNormCall call = norm_call(x, norm, shift, scale, split);
  call.y_RD = y_RD.mutable_data_ptr();
  launch_here(call, "modulated norm");
  return y_RD;
}

void CudaOps::gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                        RowSplit split) {
  launch_here(gate_call(x_RD, y_RD, gate, split), "gated add");
}

void CudaOps::prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation,
                          RowSplit split, at::Tensor& qkv_H3RE) {
  launch_here(qkv_call(qkv_R3D, preparation, split, qkv_H3RE), "prepare qkv");
}

at::Tensor CudaOps::rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) {
  return formulas::rms_norm(x_RD, weight_D, eps);
}
at::Tensor CudaOps::biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     const at::Tensor& bias_HRR) {
  return formulas::biased_attention(q, k, v, bias_HRR);
}
at::Tensor CudaOps::gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) {
  return formulas::gated_gelu(gate_RD, up_RD);
}
ConvWeights CudaOps::pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                                      int64_t stride) {
  return formulas::plain_convolution(upload(weight), upload(bias), stride);
}
void CudaOps::norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) {
  formulas::norm_silu(x_CTYX, call, y_CTYX);
}
void CudaOps::fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) {
  launch_here(fade_call(before_CTYX, tile_CTYX, dim), "tile blend");
}
at::Tensor CudaOps::to_rgb(const at::Tensor& x_CTYX) {
  const at::Tensor x = x_CTYX.contiguous();
  at::Tensor rgb_TYX3 =
      at::empty({x.size(1), x.size(2), x.size(3), x.size(0)}, x.options().dtype(at::kByte));
  launch_here(rgb_call(x, rgb_TYX3), "frames to bytes");
  return rgb_TYX3;
}

}  // namespace cogvx::cuda

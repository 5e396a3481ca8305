// GPU only: guarded by a status for everything that is thrown.

#include "core/ops/cuda/ops_factory.h"

#include <ATen/Context.h>
#include <torch/headeronly/version.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "core/base/errors.h"
#include "core/ops/cuda/cuda_ops.h"
#include "core/ops/cuda/kernels.h"

namespace {

int fail(CogvxCudaOpsCall* call, CogvxCudaOpsStatus status, const char* text) {
  // libtorch adds a stack trace of many lines.
  const auto length = static_cast<int>(std::strcspn(text, "\n"));
  std::snprintf(call->error, sizeof call->error, "%.*s", length, text);
  return status;
}

// GPU only: guarded by its callee; everything thrown becomes a status and a line.
void make(CogvxCudaOpsCall* call) {
  const cogvx::cuda::CudaOpsSettings settings{
      .device = call->device, .attention = static_cast<cogvx::AttentionKernel>(call->attention)};
  auto ops = std::make_unique<cogvx::cuda::CudaOps>(
      settings, *static_cast<const cogvx::Planner*>(call->planner));
  const std::string wrong = cogvx::cuda::check_kernels({}, /*stream=*/nullptr);
  if (!wrong.empty()) {
    throw cogvx::DeviceError("the start-up check of our kernels on GPU " +
                             std::to_string(settings.device) + ": " + wrong +
                             "; use --device cpu, and tell us of it");
  }
  call->ops = ops.release();
  call->cudnn_version = static_cast<int32_t>(at::detail::getCUDAHooks().versionRuntimeCuDNN());
  call->cublaslt_version = static_cast<int64_t>(cublasLtGetVersion());
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int cogvx_make_cuda_ops(CogvxCudaOpsCall* call) {
  if (call->abi != kCogvxCudaOpsAbi || std::strcmp(call->torch, TORCH_VERSION) != 0) {
    call->abi = kCogvxCudaOpsAbi;
    std::snprintf(call->torch, sizeof call->torch, "%s", TORCH_VERSION);
    return kCogvxCudaOpsOtherBuild;
  }
  call->ops = nullptr;
  try {
    make(call);
    return kCogvxCudaOpsOk;
  } catch (const cogvx::MemoryError& error) {
    return fail(call, kCogvxCudaOpsMemoryError, error.what());
  } catch (const c10::OutOfMemoryError& error) {
    return fail(call, kCogvxCudaOpsMemoryError, error.what_without_backtrace());
  } catch (const cogvx::DeviceError& error) {
    return fail(call, kCogvxCudaOpsDeviceError, error.what());
  } catch (const c10::Error& error) {
    return fail(call, kCogvxCudaOpsDeviceError, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return fail(call, kCogvxCudaOpsOtherError, error.what());
  }
}

extern "C" __attribute__((visibility("default"))) void cogvx_check_cuda_kernels(
    CogvxKernelCheckCall* call) {
  const cogvx::cuda::CheckShape shape{call->rows, call->heads, call->head_width};
  const std::string wrong = cogvx::cuda::check_kernels(shape, /*stream=*/nullptr);
  std::snprintf(call->error, sizeof call->error, "%s", wrong.c_str());
}

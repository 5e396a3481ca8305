#pragma once

#include <stdint.h>

// How the program gets an Ops out of libcogvx_cuda_ops.so. C functions and plain structs; what they
// hand over are C++ objects, so both sides are built together: the numbers below say so.
extern "C" {

// Raise with every change of the structs below, of core/ops/ops.h or core/ops/planner.h.
enum { kCogvxCudaOpsAbi = 2 };

enum CogvxCudaOpsStatus {
  kCogvxCudaOpsOk = 0,
  kCogvxCudaOpsOtherBuild = 1,
  kCogvxCudaOpsDeviceError = 2,
  kCogvxCudaOpsMemoryError = 3,
  kCogvxCudaOpsOtherError = 4,
};

struct CogvxCudaOpsCall {
  // Set by the caller: kCogvxCudaOpsAbi and its TORCH_VERSION. A plugin of another build touches
  // nothing but these two, where it puts its own.
  int32_t abi;
  char torch[32];
  // What is wanted.
  int32_t device;       // among those the process sees
  int32_t attention;    // cogvx::AttentionKernel
  const void* planner;  // a cogvx::Planner; the plugin keeps a copy
  // What there is: a cogvx::Ops that the caller deletes, and what it computes with.
  void* ops;
  int32_t cudnn_version;     // 91900 is 9.19.0
  int64_t cublaslt_version;  // 130100 is 13.1.0
  // One line for a status other than Ok.
  char error[512];
};

// Returns a CogvxCudaOpsStatus; throws nothing.
typedef int (*CogvxMakeCudaOpsFunction)(struct CogvxCudaOpsCall* call);
#define COGVX_MAKE_CUDA_OPS_NAME "cogvx_make_cuda_ops"

// Runs our own kernels on the calling thread's device against their host functions (CheckShape in
// kernels.h); for scripts/gpu_check.sh.
struct CogvxKernelCheckCall {
  int64_t rows;
  int64_t heads;
  int64_t head_width;
  char error[512];  // the first difference in one line; empty for none
};
typedef void (*CogvxCheckCudaKernelsFunction)(struct CogvxKernelCheckCall* call);
#define COGVX_CHECK_CUDA_KERNELS_NAME "cogvx_check_cuda_kernels"
}

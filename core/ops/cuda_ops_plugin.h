#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/ops/attention_kernel.h"
#include "core/ops/ops.h"
#include "core/ops/planner.h"

namespace cogvx {

struct CudaOpsWish {
  int device = 0;  // among those the process sees
  AttentionKernel attention = AttentionKernel::kFlash;
  Planner planner{};  // how it calls the layers that are shared out
};

struct MadeCudaOps {
  std::unique_ptr<Ops> ops;
  // What decides bytes beside the GPU; empty where a library says nothing.
  std::string cudnn_version;     // "9.19.0"
  std::string cublaslt_version;  // "13.1.0"
};

// Loads libcogvx_cuda_ops.so, which lies beside `plugin` (the one that probe_cuda found) and brings
// libtorch's CUDA part, and has it make an Ops. Throws DeviceError or MemoryError, in one line.
MadeCudaOps make_cuda_ops(const std::filesystem::path& plugin, const CudaOpsWish& wish);

}  // namespace cogvx

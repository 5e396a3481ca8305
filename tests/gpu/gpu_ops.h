#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/ops/attention_kernel.h"
#include "core/ops/ops.h"

// How the tests for a GPU get one, and all they know of how the plugins are asked. Where the folder
// of the plugins is one of fakes they run on a device that the CPU plays.
namespace cogvx::test {

// COGVX_GPU_PLUGINS, by itself the build's own.
std::filesystem::path gpu_plugins();

struct GpuOpsWish {
  AttentionKernel attention = AttentionKernel::kMath;
  // Hears how each layer that is shared out will be called; may be empty.
  std::function<void(const nlohmann::json&)> on_choice{};
};
// On device 0. Throws DeviceError or MemoryError.
std::unique_ptr<Ops> make_gpu_ops(const GpuOpsWish& wish);
bool is_real_gpu(const Ops& ops);

// Before shared_linear, and before attention on heads of `head_dim` in this dtype.
void prepare_linear(Ops& ops, const LinearWeights& weights, int64_t all_rows,
                    Activation activation);
struct HeadsShape {
  int64_t heads = 0;
  int64_t rows = 0;
  int64_t head_dim = 0;
  at::ScalarType dtype = at::kFloat;
};
void prepare_attention(Ops& ops, const HeadsShape& shape);

// A call for rows [first_row, ...) of a layer that has joint rows [0, all_rows).
struct SharedRows {
  int64_t first_row = 0;
  int64_t all_rows = 0;
};
at::Tensor shared_linear(Ops& ops, const at::Tensor& x_rK, const LinearWeights& weights,
                         SharedRows rows, Activation activation);

// The plugin's check of our own kernels against their host functions: what went wrong, or nothing.
struct KernelShape {
  int64_t rows = 0;
  int64_t heads = 0;
  int64_t head_width = 0;
};
std::string check_gpu_kernels(const KernelShape& shape);

// COGVX_GPU_SMALL: sizes for a device that the CPU plays.
bool small_sizes();
// COGVX_GPU_ATTENTION: flash by itself, cudnn or math. fp32 is math's alone.
AttentionKernel attention_for(at::ScalarType dtype);
std::string name_of(AttentionKernel kernel);
AttentionKernel attention_named(const std::string& name);

// A line of figures for the report of scripts/gpu_check.sh.
void report(const nlohmann::json& figures);

}  // namespace cogvx::test

#include "tests/gpu/gpu_ops.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/ops/cuda/ops_factory.h"
#include "core/ops/cuda_ops_plugin.h"
#include "tests/core/golden/golden_ops.h"
#include "tests/support/test_paths.h"

namespace cogvx::test {
namespace fs = std::filesystem;

namespace {

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

}  // namespace

fs::path gpu_plugins() { return variable("COGVX_GPU_PLUGINS", (build_dir() / "lib").c_str()); }

std::unique_ptr<Ops> make_gpu_ops(const GpuOpsWish& wish) {
  PlannerWatch watch;
  if (wish.on_choice) {
    watch.on_verdict = [tell = wish.on_choice](const Verdict& verdict) {
      tell(verdict_to_json(verdict));
    };
  }
  return make_cuda_ops(gpu_plugins() / "libcogvx_cuda.so",
                       {.attention = wish.attention, .planner = checked_planner(watch)})
      .ops;
}

bool is_real_gpu(const Ops& ops) { return ops.device().is_cuda(); }

void prepare_linear(Ops& ops, const LinearWeights& weights, int64_t all_rows,
                    Activation activation) {
  ops.prepare({.rows = all_rows,
               .heads = 1,
               .head_dim = 64,
               .dtype = weights.dtype,
               .linears = {{"linear", weights, {0, all_rows}, activation}}});
}

void prepare_attention(Ops& ops, const HeadsShape& shape) {
  ops.prepare({.rows = shape.rows,
               .heads = shape.heads,
               .head_dim = shape.head_dim,
               .dtype = shape.dtype,
               .linears = {}});
}

at::Tensor shared_linear(Ops& ops, const at::Tensor& x_rK, const LinearWeights& weights,
                         SharedRows rows, Activation activation) {
  return ops.linear(
      x_rK, weights,
      {.first_row = rows.first_row, .shared = {0, rows.all_rows}, .activation = activation});
}

std::string check_gpu_kernels(const KernelShape& shape) {
  const fs::path library = gpu_plugins() / "libcogvx_cuda_ops.so";
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* entry = handle == nullptr ? nullptr : dlsym(handle, COGVX_CHECK_CUDA_KERNELS_NAME);
  if (entry == nullptr) throw std::runtime_error(dlerror());
  CogvxKernelCheckCall call{
      .rows = shape.rows, .heads = shape.heads, .head_width = shape.head_width};
  reinterpret_cast<CogvxCheckCudaKernelsFunction>(entry)(&call);
  return call.error;
}

bool small_sizes() { return !variable("COGVX_GPU_SMALL", "").empty(); }

AttentionKernel attention_for(at::ScalarType dtype) {
  return dtype == at::kFloat ? AttentionKernel::kMath
                             : attention_named(variable("COGVX_GPU_ATTENTION", "flash"));
}

std::string name_of(AttentionKernel kernel) {
  return kernel == AttentionKernel::kMath    ? "math"
         : kernel == AttentionKernel::kFlash ? "flash"
                                             : "cudnn";
}

AttentionKernel attention_named(const std::string& name) {
  for (const AttentionKernel kernel :
       {AttentionKernel::kMath, AttentionKernel::kFlash, AttentionKernel::kCudnn}) {
    if (name_of(kernel) == name) return kernel;
  }
  throw std::runtime_error("attention is '" + name + "', wanted math, flash or cudnn");
}

void report(const nlohmann::json& figures) {
  std::printf("report: %s\n", figures.dump().c_str());
  std::fflush(stdout);
}

std::unique_ptr<Ops> make_golden_ops(at::ScalarType dtype) {
  return make_gpu_ops({.attention = attention_for(dtype)});
}

}  // namespace cogvx::test

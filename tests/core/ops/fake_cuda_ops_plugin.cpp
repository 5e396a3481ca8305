// Stands in for libcogvx_cuda_ops.so where there is no GPU: answers what COGVX_FAKE_CUDA_OPS names,
// by itself with an Ops that computes on the fake device of tests/support and asks the program's
// planner how it calls its layers, as the real one does. The scenes of tests/gpu are faults that
// the planner does not see and the checks there must find.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <torch/headeronly/version.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda/kernel_check.h"
#include "core/ops/cuda/ops_factory.h"
#include "core/ops/planner.h"
#include "tests/support/cpu_path.h"
#include "tests/support/fake_device.h"

namespace {

using namespace cogvx;

std::string_view scene() {
  const char* named = std::getenv("COGVX_FAKE_CUDA_OPS");
  return named == nullptr ? "" : named;
}

// How a library's kernels may be.
struct Kernels {
  bool vary_by_rows = false;
  bool vary_by_heads = false;
};

// The Ops with what it computes with.
class OwnedDeviceOps final : public test::PassingOps {
 public:
  OwnedDeviceOps(Planner planner, Kernels kernels)
      : PassingOps(static_cast<Ops&>(device_)),
        planner_(std::move(planner)),
        kernels_(kernels),
        pool_(1),
        cpu_(pool_, test::cpu_path()),
        device_(cpu_) {
    static std::atomic<int> made{0};
    second_ = made++ % 2 == 1;
  }

  void prepare(const SharedCalls& calls) override {
    for (const SharedLinear& layer : calls.linears) {
      weights_of_call_ = &layer.weights;
      const LinearCall call{.activation = layer.activation};
      plans_[{layer.weights.in, layer.weights.out, layer.rows}] = planner_.rows(
          {layer.name, calls.rows, layer.rows, layer.weights.in, layer.weights.out,
           layer.weights.dtype},
          [&](int64_t rows) { return pick(rows, call); }, device());
    }
    attend_ = planner_.heads({"attention", calls.heads, calls.rows, calls.head_dim, calls.dtype},
                             {.id = "fake", .run = [this](const HeadCall& call) { attend(call); }},
                             device());
  }

  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    const at::Tensor y = planned_linear(x, weights, call);
    const bool spoiled = (scene() == "rows count" && x.size(0) > 1 && x.size(0) < 200) ||
                         (scene() == "every second differs" && second_) || scene() == "wrong";
    return spoiled ? y.mul(1.01) : y;
  }

  // As a GPU's: the planned layer, then the sum.
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    Ops::add_linear(x, y, weights, call);
  }

  void attention(const at::Tensor& qkv, std::span<const AttentionRun> runs,
                 at::Tensor& out) override {
    const int64_t tiles = ceil_div(qkv.size(2), kBlockRows);
    for (int64_t head = 0; head < std::ssize(runs); ++head) {
      if (runs[head] != AttentionRun{head, 0, tiles})
        throw std::logic_error("attention on a GPU takes whole heads, all of them in order");
    }
    if (std::ssize(runs) != qkv.size(0)) throw std::logic_error("other runs than heads");
    attend_(qkv, out);
    if (scene() == "heads count" && std::ssize(runs) == 3) out.mul_(1.01);
  }

 private:
  struct Shape {
    int64_t in;
    int64_t out;
    RowRange shared;
    auto operator<=>(const Shape&) const = default;
  };

  at::Tensor planned_linear(const at::Tensor& x, const LinearWeights& weights,
                            const LinearCall& call) {
    if (call.shared.size() == 0 || x.size(0) == 0) return device_.linear(x, weights, call);
    at::Tensor y = at::empty({x.size(0), weights.out}, x.options());
    weights_of_call_ = &weights;
    plans_.at({weights.in, weights.out, call.shared})(x, call.first_row, y);
    return y;
  }

  RowKernel pick(int64_t rows, const LinearCall& like) {
    return {.id = "fake for " + std::to_string(rows),
            .workspace_bytes = 256,
            .run = [this, like](const RowCall& call) {
              call.y_RN.copy_(device_.linear(call.x_RK, *weights_of_call_, like));
              if (kernels_.vary_by_rows)
                call.y_RN.mul_(1 + 0.01 * static_cast<double>(call.x_RK.size(0) % 7));
            }};
  }
  void attend(const HeadCall& call) {
    std::vector<AttentionRun> runs;
    const int64_t heads = call.qkv_H3NE.size(0);
    for (int64_t head = 0; head < heads; ++head)
      runs.push_back({head, 0, ceil_div(call.qkv_H3NE.size(2), kBlockRows)});
    at::Tensor out = call.out_HNE;
    device_.attention(call.qkv_H3NE, runs, out);
    if (kernels_.vary_by_heads) out.mul_(1 + 0.01 * static_cast<double>(heads));
  }

  Planner planner_;
  Kernels kernels_;
  ThreadPool pool_;
  CpuOps cpu_;
  test::FakeDeviceOps device_;
  std::map<Shape, RowPlan> plans_;
  HeadPlan attend_;
  const LinearWeights* weights_of_call_ = nullptr;
  bool second_ = false;  // of every two that are made
};

// The host as the device of a KernelCheck.
struct HostDevice {
  void* upload(const void* from, size_t bytes) const {
    return std::memcpy(std::malloc(bytes), from, bytes);
  }
  int download(void* to, const void* from, size_t bytes) const {
    std::memcpy(to, from, bytes);
    if (scene() == "kernels") static_cast<char*>(to)[bytes / 2] ^= 1;
    return 0;
  }
  void release(void* array) const { std::free(array); }
  template <typename Call>
  int launch(const Call& call) const {
    return cuda::run_on_host(call) ? 0 : 1;
  }
  const char* error_text(int) const { return "no launch"; }
};

int fail(CogvxCudaOpsCall* call, int status, const char* text) {
  std::snprintf(call->error, sizeof call->error, "%s", text);
  return status;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int cogvx_make_cuda_ops(CogvxCudaOpsCall* call) {
  if (scene() == "other build") {
    call->abi = 9;
    std::strcpy(call->torch, "2.99.0");
    return kCogvxCudaOpsOtherBuild;
  }
  if (scene() == "full") return fail(call, kCogvxCudaOpsMemoryError, "tried to allocate 32.00 MiB");
  if (scene() == "broken") return fail(call, kCogvxCudaOpsDeviceError, "an illegal instruction");
  call->ops = static_cast<Ops*>(new OwnedDeviceOps(
      *static_cast<const Planner*>(call->planner),
      {.vary_by_rows = scene() == "varies", .vary_by_heads = scene() == "varies"}));
  call->cudnn_version = 91900;
  call->cublaslt_version = 130100;
  return kCogvxCudaOpsOk;
}

extern "C" __attribute__((visibility("default"))) void cogvx_check_cuda_kernels(
    CogvxKernelCheckCall* call) {
  HostDevice device;
  const std::string wrong =
      cuda::KernelCheck<HostDevice>(device, {call->rows, call->heads, call->head_width}).run();
  std::snprintf(call->error, sizeof call->error, "%s", wrong.c_str());
}

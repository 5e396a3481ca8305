// Stands in for libcogvx_cuda_ops.so where there is no GPU: answers what COGVX_FAKE_CUDA_OPS names,
// by itself with an Ops that computes on the fake device of tests/support. The scenes of the checks
// in tests/gpu are faults that those must find.
#include <ATen/ATen.h>
#include <torch/headeronly/version.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda/kernel_check.h"
#include "core/ops/cuda/ops_factory.h"
#include "tests/support/fake_device.h"

namespace {

std::string_view scene() {
  const char* named = std::getenv("COGVX_FAKE_CUDA_OPS");
  return named == nullptr ? "" : named;
}

// The Ops with what it computes with.
class OwnedDeviceOps final : public cogvx::test::PassingOps {
 public:
  OwnedDeviceOps()
      : PassingOps(static_cast<cogvx::Ops&>(device_)), pool_(1), cpu_(pool_), device_(cpu_) {
    static std::atomic<int> made{0};
    second_ = made++ % 2 == 1;
  }

  at::Tensor linear(const at::Tensor& x, const cogvx::LinearWeights& weights,
                    const cogvx::LinearCall& call) override {
    const at::Tensor y = inner_.linear(x, weights, call);
    const bool spoiled = (scene() == "rows count" && x.size(0) > 1 && x.size(0) < 200) ||
                         (scene() == "every second differs" && second_) || scene() == "wrong";
    return spoiled ? y.mul(1.01) : y;
  }

  // As strict as a GPU's.
  void attention(const at::Tensor& qkv, std::span<const cogvx::AttentionRun> runs,
                 at::Tensor& out) override {
    const int64_t tiles = cogvx::ceil_div(qkv.size(2), cogvx::kBlockRows);
    for (int64_t head = 0; head < std::ssize(runs); ++head) {
      if (runs[head] != cogvx::AttentionRun{head, 0, tiles})
        throw std::logic_error("attention on a GPU takes whole heads, all of them in order");
    }
    inner_.attention(qkv, runs, out);
    if (scene() == "heads count" && std::ssize(runs) == 3) out.mul_(1.01);
  }

 private:
  cogvx::ThreadPool pool_;
  cogvx::CpuOps cpu_;
  cogvx::test::FakeDeviceOps device_;
  bool second_ = false;
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
    return cogvx::cuda::run_on_host(call) ? 0 : 1;
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
  call->ops = static_cast<cogvx::Ops*>(new OwnedDeviceOps);
  call->cudnn_version = 91900;
  call->cublaslt_version = 130100;
  return kCogvxCudaOpsOk;
}

extern "C" __attribute__((visibility("default"))) void cogvx_check_cuda_kernels(
    CogvxKernelCheckCall* call) {
  HostDevice device;
  const std::string wrong =
      cogvx::cuda::KernelCheck<HostDevice>(device, {call->rows, call->heads, call->head_width})
          .run();
  std::snprintf(call->error, sizeof call->error, "%s", wrong.c_str());
}

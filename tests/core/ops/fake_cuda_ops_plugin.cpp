// Stands in for libcogvx_cuda_ops.so where there is no GPU: answers what COGVX_FAKE_CUDA_OPS names,
// by itself with an Ops that computes on the fake device of tests/support.
#include <torch/headeronly/version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda/ops_factory.h"
#include "tests/support/fake_device.h"

namespace {

// The Ops with what it computes with.
class OwnedDeviceOps final : public cogvx::test::PassingOps {
 public:
  OwnedDeviceOps()
      : PassingOps(static_cast<cogvx::Ops&>(device_)), pool_(1), cpu_(pool_), device_(cpu_) {}

 private:
  cogvx::ThreadPool pool_;
  cogvx::CpuOps cpu_;
  cogvx::test::FakeDeviceOps device_;
};

int fail(CogvxCudaOpsCall* call, int status, const char* text) {
  std::snprintf(call->error, sizeof call->error, "%s", text);
  return status;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int cogvx_make_cuda_ops(CogvxCudaOpsCall* call) {
  const char* named = std::getenv("COGVX_FAKE_CUDA_OPS");
  const std::string_view scene = named == nullptr ? "" : named;
  if (scene == "other build") {
    call->abi = 9;
    std::strcpy(call->torch, "2.99.0");
    return kCogvxCudaOpsOtherBuild;
  }
  if (scene == "full") return fail(call, kCogvxCudaOpsMemoryError, "tried to allocate 32.00 MiB");
  if (scene == "broken") return fail(call, kCogvxCudaOpsDeviceError, "an illegal instruction");
  call->ops = static_cast<cogvx::Ops*>(new OwnedDeviceOps);
  call->cudnn_version = 91900;
  call->cublaslt_version = 130100;
  return kCogvxCudaOpsOk;
}

// Stands in for libcogvx_nccl.so where there is no GPU: moves the bytes of the fake device, whose
// memory is the host's, over Gloo.
#include <ATen/ops/from_blob.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "parallel/cuda/nccl_factory.h"

namespace {

constexpr std::chrono::minutes kPatience{2};

// The same memory as a tensor of the host.
at::Tensor as_host(const at::Tensor& tensor) {
  return at::from_blob(
      tensor.mutable_data_ptr(), tensor.sizes(), [keep = tensor](void*) {},
      at::TensorOptions().dtype(tensor.scalar_type()));
}

class MovingBackend final : public c10d::Backend {
 public:
  MovingBackend(const CogvxNcclRequest& request, c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo)
      : c10d::Backend(request.rank, request.size), gloo_(std::move(gloo)) {}

  const std::string getBackendName() const override { return "moving"; }
  c10::intrusive_ptr<c10d::Work> alltoall_base(at::Tensor& recv, at::Tensor& send,
                                               std::vector<int64_t>& recv_splits,
                                               std::vector<int64_t>& send_splits,
                                               const c10d::AllToAllOptions&) override {
    at::Tensor to = as_host(recv), from = as_host(send);
    c10d::AllToAllOptions options;
    options.timeout = kPatience;
    return gloo_->alltoall_base(to, from, recv_splits, send_splits, options);
  }
  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override {
    std::vector<at::Tensor> host = {as_host(tensors.front())};
    return gloo_->broadcast(host, options);
  }
  void abort() override {}

 private:
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) void* cogvx_make_nccl_group(
    const CogvxNcclRequest* request, char* error, size_t size) {
  try {
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    const auto store =
        c10::intrusive_ptr<c10d::Store>::reclaim_copy(static_cast<c10d::Store*>(request->store));
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("moving", store), request->rank, request->size,
        options);
    return static_cast<c10d::Backend*>(
        c10::make_intrusive<MovingBackend>(*request, std::move(gloo)).release());
  } catch (const std::exception& failure) {
    std::snprintf(error, size, "%s", failure.what());
    return nullptr;
  }
}

extern "C" int ncclGetVersion(int* version) {
  *version = 22809;
  return 0;
}

#include "parallel/cuda/nccl_factory.h"

#include <c10/cuda/CUDAFunctions.h>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

// GPU only: guarded by the caller's barrier over the new group, under a deadline
extern "C" __attribute__((visibility("default"))) void* cogvx_make_nccl_group(
    const CogvxNcclRequest* request, char* error, size_t error_size) {
  try {
    if (request->abi != kCogvxNcclAbi) throw std::runtime_error("the program is of another build");
    const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(request->device));
    c10::cuda::set_device(device.index());
    // What is under way is ended by the program's own deadline, never by this one.
    const auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/false);
    options->timeout = std::chrono::hours(24 * 365);
    const auto store =
        c10::intrusive_ptr<c10d::Store>::reclaim_copy(static_cast<c10d::Store*>(request->store));
    auto backend =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, request->rank, request->size, options);
    backend->setGroupDesc(request->name);
    backend->setBoundDeviceId(device);
    // Now, not in the first operation: a rank that is missing is missed here.
    backend->eagerConnectSingleDevice(device);
    return static_cast<c10d::Backend*>(backend.release());
  } catch (const std::exception& failure) {
    std::snprintf(error, error_size, "%s", failure.what());
    return nullptr;
  }
}

// GPU only: guarded by check_kernels, which runs each kernel against its host function, byte for
// byte, before it is used.

#include "core/ops/cuda/kernels.h"

#include <cuda_runtime_api.h>

#include "core/ops/cuda/kernel_check.h"
#include "core/ops/cuda/kernels_rows.h"
#include "core/ops/cuda/kernels_video.h"

namespace cogvx::cuda {
namespace {

template <typename Kernel>
__global__ void __launch_bounds__(kMaxThreads) run(const Kernel kernel) {
  extern __shared__ float shared[];
  const Spot spot{blockIdx.x, blockIdx.y, static_cast<int>(threadIdx.x)};
  kernel.template phase<0>(spot, shared);
  if constexpr (Kernel::kPhases > 1) {
    static_assert(Kernel::kPhases == 3, "one phase or three");
    __syncthreads();
    kernel.template phase<1>(spot, shared);
    __syncthreads();
    kernel.template phase<2>(spot, shared);
  }
}

template <typename Kernel>
int queue(const Kernel& kernel, void* stream) {
  const Launch launch = kernel.launch();
  if (!is_legal(launch)) return cudaErrorInvalidConfiguration;
  if (is_empty(launch)) return cudaSuccess;
  void* arguments[] = {const_cast<Kernel*>(&kernel)};
  const dim3 grid(static_cast<unsigned>(launch.x), static_cast<unsigned>(launch.y));
  return cudaLaunchKernel(reinterpret_cast<const void*>(&run<Kernel>), grid, dim3(launch.threads),
                          arguments, launch.shared_bytes, static_cast<cudaStream_t>(stream));
}

template <typename Call>
int queue_stored(const Call& call, void* stream) {
  switch (call.storage) {
    case Storage::kFp32:
      return queue(make<float>(call, DeviceMemory{}), stream);
    case Storage::kBf16:
      return queue(make<Bf16>(call, DeviceMemory{}), stream);
    case Storage::kFp16:
      return queue(make<Half>(call, DeviceMemory{}), stream);
  }
  return cudaErrorInvalidValue;
}

// What KernelCheck wants of a device. Copies go through the stream: a plain cudaMemcpy from
// pageable memory may return before the device has all of it, and other streams do not wait.
struct CheckedDevice {
  cudaStream_t stream;

  void* upload(const void* from, size_t bytes) const {
    void* to = nullptr;
    if (cudaMalloc(&to, bytes) != cudaSuccess) return nullptr;
    if (cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream) == cudaSuccess) return to;
    cudaFree(to);
    return nullptr;
  }
  int download(void* to, const void* from, size_t bytes) const {
    const cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream);
    return error != cudaSuccess ? error : cudaStreamSynchronize(stream);
  }
  void release(void* array) const { cudaFree(array); }
  template <typename Call>
  int launch(const Call& call) const {
    return queue_stored(call, stream);
  }
  const char* error_text(int code) const { return launch_error(code); }
};

}  // namespace

int launch(const ModulatedNormCall& call, void* stream) { return queue_stored(call, stream); }
int launch(const GatedAddCall& call, void* stream) { return queue_stored(call, stream); }
int launch(const PrepareQkvCall& call, void* stream) { return queue_stored(call, stream); }
int launch(const BlendCall& call, void* stream) { return queue_stored(call, stream); }
int launch(const RgbCall& call, void* stream) { return queue_stored(call, stream); }

std::string check_kernels(const CheckShape& shape, void* stream) {
  CheckedDevice device{static_cast<cudaStream_t>(stream)};
  return KernelCheck<CheckedDevice>(device, shape).run();
}

const char* launch_error(int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }
bool is_out_of_memory(int code) { return code == cudaErrorMemoryAllocation; }

}  // namespace cogvx::cuda

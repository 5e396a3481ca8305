// GPU only: guarded by the status of every call, and the bytes that came out are compared

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdio>
#include <vector>

#include "core/ops/cuda/device_probe.h"

namespace {

constexpr size_t kBytes = size_t{64} << 20;

// Of one device; given back however the copy ends.
struct Block {
  explicit Block(int owner) : device(owner) {}
  ~Block() { cudaFree(at); }
  cudaError_t get() {
    const cudaError_t error = cudaSetDevice(device);
    return error == cudaSuccess ? cudaMalloc(&at, kBytes) : error;
  }
  int device;
  void* at = nullptr;
};

cudaError_t copy_block(CogvxCudaCopy& copy) {
  std::vector<unsigned char> sent(kBytes), got(kBytes);
  for (size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<unsigned char>((i * 2654435761U) >> 13);
  Block from(copy.from), to(copy.to);
  cudaError_t error = cudaDeviceCanAccessPeer(&copy.direct, copy.to, copy.from);
  if (error == cudaSuccess) error = to.get();
  if (error == cudaSuccess && copy.direct != 0) error = cudaDeviceEnablePeerAccess(copy.from, 0);
  if (error == cudaErrorPeerAccessAlreadyEnabled) error = cudaSuccess;
  if (error == cudaSuccess) error = from.get();
  if (error == cudaSuccess)
    error = cudaMemcpy(from.at, sent.data(), kBytes, cudaMemcpyHostToDevice);
  const auto start = std::chrono::steady_clock::now();
  if (error == cudaSuccess) error = cudaMemcpyPeer(to.at, copy.to, from.at, copy.from, kBytes);
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  copy.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (error == cudaSuccess) error = cudaMemcpy(got.data(), to.at, kBytes, cudaMemcpyDeviceToHost);
  copy.bytes = kBytes;
  copy.intact = got == sent;
  return error;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int cogvx_cuda_copy(CogvxCudaCopy* copy) {
  if (copy->abi != kCogvxCudaAbi) return kCogvxCudaOtherAbi;
  const cudaError_t error = copy_block(*copy);
  std::snprintf(copy->error, sizeof copy->error, "%s", cudaGetErrorString(error));
  return error == cudaSuccess ? kCogvxCudaOk : kCogvxCudaOtherError;
}

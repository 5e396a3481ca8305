// GPU only: guarded by the status of every call; runs up to the first of them without one.

#include "core/ops/cuda/device_probe.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>

namespace {

// COGVX_CUDA_ARCHITECTURES is "80 86 ... 120", the last one as PTX too: that one serves every later
// device, the others serve their own major version from their minor version on.
bool is_supported(int major, int minor) {
  const int device = 10 * major + minor;
  int newest = 0;
  for (const char* at = COGVX_CUDA_ARCHITECTURES; *at != 0;) {
    char* end = nullptr;
    newest = static_cast<int>(std::strtol(at, &end, 10));
    if (newest / 10 == major && newest <= device) return true;
    at = end;
  }
  return newest <= device;
}

int status_of(cudaError_t error, int driver_version) {
  switch (error) {
    case cudaSuccess:
      return kCogvxCudaOk;
    case cudaErrorNoDevice:
      return kCogvxCudaNoDevice;
    case cudaErrorInsufficientDriver:
      // The runtime says "insufficient" for a driver that is not there at all.
      return driver_version == 0 ? kCogvxCudaNoDriver : kCogvxCudaDriverTooOld;
    default:
      return kCogvxCudaOtherError;
  }
}

int report(CogvxCudaProbe* probe, cudaError_t error) {
  std::snprintf(probe->error, sizeof probe->error, "%s", cudaGetErrorString(error));
  return status_of(error, probe->driver_version);
}

void write_uuid(CogvxCudaDevice& device, const cudaUUID_t& uuid) {
  char* at = device.uuid + std::snprintf(device.uuid, sizeof device.uuid, "GPU-");
  for (int i = 0; i < 16; ++i) {
    const bool dash = i == 4 || i == 6 || i == 8 || i == 10;
    at += std::snprintf(at, 4, dash ? "-%02x" : "%02x", static_cast<unsigned char>(uuid.bytes[i]));
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int cogvx_cuda_probe(CogvxCudaProbe* probe) {
  if (probe->abi != kCogvxCudaAbi) {
    probe->abi = kCogvxCudaAbi;
    return kCogvxCudaOtherAbi;
  }
  const int free_of = probe->free_of;
  *probe = CogvxCudaProbe{};
  probe->abi = kCogvxCudaAbi;
  std::snprintf(probe->architectures, sizeof probe->architectures, "%s", COGVX_CUDA_ARCHITECTURES);
  cudaDriverGetVersion(&probe->driver_version);
  cudaRuntimeGetVersion(&probe->runtime_version);

  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    return report(probe, error);
  }
  if (count == 0) return report(probe, cudaErrorNoDevice);
  probe->device_count = count;
  for (int i = 0; i < count && i < kCogvxCudaMaxDevices; ++i) {
    cudaDeviceProp properties;
    if (const cudaError_t error = cudaGetDeviceProperties(&properties, i); error != cudaSuccess) {
      return report(probe, error);
    }
    CogvxCudaDevice& device = probe->devices[i];
    std::snprintf(device.name, sizeof device.name, "%s", properties.name);
    write_uuid(device, properties.uuid);
    device.compute_major = properties.major;
    device.compute_minor = properties.minor;
    device.multiprocessors = properties.multiProcessorCount;
    device.supported = is_supported(properties.major, properties.minor);
    device.memory_bytes = properties.totalGlobalMem;
  }
  if (free_of < 0) return kCogvxCudaOk;
  size_t free_bytes = 0, total = 0;
  if (const cudaError_t error = cudaSetDevice(free_of); error != cudaSuccess)
    return report(probe, error);
  if (const cudaError_t error = cudaMemGetInfo(&free_bytes, &total); error != cudaSuccess)
    return report(probe, error);
  probe->free_bytes = free_bytes;
  return kCogvxCudaOk;
}

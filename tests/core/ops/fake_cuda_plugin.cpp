// Stands in for libcogvx_cuda.so where there is no GPU: answers what COGVX_FAKE_CUDA names. Of a
// device's 80 GiB, COGVX_FAKE_CUDA_FREE bytes are free, without it nearly all. What is copied to or
// from GPU COGVX_FAKE_CUDA_SPOILS is not what comes out.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/ops/cuda/device_probe.h"

namespace {

void set_device(CogvxCudaDevice& device, const char* name, int major, bool supported) {
  std::snprintf(device.name, sizeof device.name, "%s", name);
  std::snprintf(device.uuid, sizeof device.uuid, "GPU-of %s", name);
  device.compute_major = major;
  device.multiprocessors = 132;
  device.memory_bytes = 80ULL << 30;
  device.supported = supported;
}

// "4 new devices": so many, up to 9.
int fill(CogvxCudaProbe& probe, std::string_view scene) {
  probe.driver_version = 13010;
  probe.runtime_version = 13000;
  std::snprintf(probe.architectures, sizeof probe.architectures, "80 90");
  if (scene == "no driver") {
    probe.driver_version = 0;
    return kCogvxCudaNoDriver;
  }
  if (scene == "old driver") {
    probe.driver_version = 12020;
    return kCogvxCudaDriverTooOld;
  }
  if (scene == "no device") return kCogvxCudaNoDevice;
  if (scene == "other abi") {
    probe.abi = 7;
    return kCogvxCudaOtherAbi;
  }
  if (scene == "broken") {
    std::snprintf(probe.error, sizeof probe.error, "system not yet initialized");
    return kCogvxCudaOtherError;
  }
  if (scene == "old device") {
    probe.device_count = 1;
    set_device(probe.devices[0], "Old One", 6, false);
    return kCogvxCudaOk;
  }
  if (scene.ends_with(" new devices")) {
    probe.device_count = scene[0] - '0';
    for (int i = 0; i < probe.device_count; ++i) {
      set_device(probe.devices[i], "New One", 9, true);
      std::snprintf(probe.devices[i].uuid, sizeof probe.devices[i].uuid, "GPU-%d", i);
    }
    return kCogvxCudaOk;
  }
  probe.device_count = 2;
  set_device(probe.devices[0], "New One", 9, true);
  set_device(probe.devices[1], "Old One", 6, false);
  return kCogvxCudaOk;
}

}  // namespace

extern "C" int cogvx_cuda_probe(CogvxCudaProbe* probe) {
  const char* left = std::getenv("COGVX_FAKE_CUDA_FREE");
  if (probe->free_of >= 0)
    probe->free_bytes = left == nullptr ? 79ULL << 30 : std::strtoull(left, nullptr, 10);
  return fill(*probe, std::getenv("COGVX_FAKE_CUDA"));
}

extern "C" int cogvx_cuda_copy(CogvxCudaCopy* copy) {
  const char* spoils = std::getenv("COGVX_FAKE_CUDA_SPOILS");
  const int spoilt = spoils == nullptr ? -1 : std::atoi(spoils);
  copy->direct = copy->from / 2 == copy->to / 2;
  copy->intact = copy->from != spoilt && copy->to != spoilt;
  copy->bytes = 64 << 20;
  copy->seconds = 1e-3;
  if (copy->from != 8) return kCogvxCudaOk;
  std::snprintf(copy->error, sizeof copy->error, "out of memory");
  return kCogvxCudaOtherError;
}

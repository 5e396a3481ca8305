#pragma once

#include <stdint.h>

// What the program and the CUDA plugin say to each other. Plain C, because the two sides may come
// from different compilers and must agree on nothing but this file.
extern "C" {

// Raise with every change of the structs below.
enum { kCogvxCudaAbi = 4, kCogvxCudaMaxDevices = 64 };

// Why there is no device list; kCogvxCudaOk when there is one.
enum CogvxCudaStatus {
  kCogvxCudaOk = 0,
  kCogvxCudaNoDriver = 1,
  kCogvxCudaDriverTooOld = 2,
  kCogvxCudaNoDevice = 3,
  kCogvxCudaOtherAbi = 4,
  kCogvxCudaOtherError = 5,
};

struct CogvxCudaDevice {
  char name[256];
  // "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", as nvidia-smi -L writes it.
  char uuid[48];
  int32_t compute_major;
  int32_t compute_minor;
  int32_t multiprocessors;
  // Whether the plugin was compiled for this device.
  int32_t supported;
  uint64_t memory_bytes;
};

struct CogvxCudaProbe {
  // Set by the caller: kCogvxCudaAbi. A plugin with another number touches nothing but `abi`, where
  // it puts its own.
  int32_t abi;
  // Set by the caller: the device whose free memory is wanted, or -1 for none.
  int32_t free_of;
  // All the devices there are; `devices` holds the first kCogvxCudaMaxDevices of them.
  int32_t device_count;
  // 1000 * major + 10 * minor; 0 where there is no driver.
  int32_t driver_version;
  int32_t runtime_version;
  // "80 86 89 ...": what the plugin was compiled for.
  char architectures[128];
  // Of device free_of; 0 without one.
  uint64_t free_bytes;
  // The CUDA runtime's own words for a status other than Ok.
  char error[256];
  struct CogvxCudaDevice devices[kCogvxCudaMaxDevices];
};

// Fills `probe`; returns a CogvxCudaStatus. Creates a CUDA context on device free_of and no other.
typedef int (*CogvxCudaProbeFunction)(struct CogvxCudaProbe* probe);
#define COGVX_CUDA_PROBE_NAME "cogvx_cuda_probe"

// A block of memory is copied from one device to another, as NCCL and offloading would.
struct CogvxCudaCopy {
  // Set by the caller, the first as in CogvxCudaProbe.
  int32_t abi;
  int32_t from;
  int32_t to;
  // Whether one can reach the other's memory without the host's.
  int32_t direct;
  // Whether the same bytes came out.
  int32_t intact;
  double seconds;
  uint64_t bytes;
  char error[256];
};

// Fills `copy`; returns a CogvxCudaStatus. Creates a CUDA context on both devices.
typedef int (*CogvxCudaCopyFunction)(struct CogvxCudaCopy* copy);
#define COGVX_CUDA_COPY_NAME "cogvx_cuda_copy"
}

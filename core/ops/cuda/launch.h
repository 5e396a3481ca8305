#pragma once

#include <stdint.h>

#include "core/ops/cuda/storage_types.h"

// A kernel is plain data with a fixed number of phases; between two phases all threads of a block
// wait for each other. It names its launch itself, from its shape alone: never from the device's
// load, the number of processes or anything else that is not of the Engine or the Request.
namespace cogvx::cuda {

// Blocks in x and y; kernels have no z. No blocks: nothing to do.
struct Launch {
  int64_t x;
  int64_t y;
  int threads;
  int shared_bytes;
};

// What every device since compute capability 3.0 grants.
constexpr int64_t kMaxBlocksX = 2147483647;
constexpr int64_t kMaxBlocksY = 65535;
constexpr int kMaxThreads = 1024;
constexpr int kMaxSharedBytes = 48 * 1024;

constexpr bool is_empty(const Launch& launch) { return launch.x == 0 || launch.y == 0; }

constexpr bool is_legal(const Launch& launch) {
  return launch.x >= 0 && launch.x <= kMaxBlocksX && launch.y >= 0 && launch.y <= kMaxBlocksY &&
         launch.threads >= 1 && launch.threads <= kMaxThreads && launch.shared_bytes >= 0 &&
         launch.shared_bytes <= kMaxSharedBytes;
}

// Where a thread stands.
struct Spot {
  int64_t x;
  int64_t y;
  int thread;
};

// How a kernel on the device reaches memory.
struct DeviceMemory {
  template <typename T>
  using In = const T*;
  template <typename T>
  using Out = T*;
  using Shared = float*;

  template <typename T>
  const T* in(const void* pointer) const {
    return static_cast<const T*>(pointer);
  }
  template <typename T>
  T* out(void* pointer) const {
    return static_cast<T*>(pointer);
  }
};

COGVX_HOST_DEVICE constexpr int64_t ceil_of(int64_t count, int64_t per) {
  return (count + per - 1) / per;
}

}  // namespace cogvx::cuda

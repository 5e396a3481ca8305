#pragma once

#include "core/base/thread_pool.h"
#include "core/ops/cpu/kernels.h"

namespace cogvx::cpu {

// Who runs units, and with which inner loops.
struct Workers {
  ThreadPool& pool;
  const Kernels& kernels;
};

}  // namespace cogvx::cpu

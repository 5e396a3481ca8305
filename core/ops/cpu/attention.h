#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/kernels.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// Ops::attention. Unit: one query tile of one head against all keys in order, 256 keys at a time
// with a running maximum.
void attention(ThreadPool& pool, const Kernels& kernels, const at::Tensor& qkv_H3NE,
               std::span<const AttentionRun> runs, at::Tensor& out_HNE);

}  // namespace cogvx::cpu

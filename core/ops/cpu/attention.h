#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "core/ops/cpu/workers.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// Ops::attention. Unit: one query tile of one head against all keys in order, 256 keys at a time
// with a running maximum.
void attention(const Workers& workers, const at::Tensor& qkv_H3NE,
               std::span<const AttentionRun> runs, at::Tensor& out_HNE);

}  // namespace cogvx::cpu

#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/kernels.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// As in ops.h.
void norm_silu(ThreadPool& pool, const Kernels& kernels, const at::Tensor& x_CTYX,
               const NormSiluCall& call, at::Tensor& y_CTYX);

}  // namespace cogvx::cpu

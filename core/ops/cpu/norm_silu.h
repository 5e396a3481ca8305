#pragma once

#include <ATen/core/Tensor.h>

#include "core/ops/cpu/workers.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// As in ops.h.
void norm_silu(const Workers& workers, const at::Tensor& x_CTYX, const NormSiluCall& call,
               at::Tensor& y_CTYX);

}  // namespace cogvx::cpu

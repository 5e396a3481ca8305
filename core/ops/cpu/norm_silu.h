#pragma once

#include <ATen/core/Tensor.h>

#include "core/ops/cpu/workers.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// Ops::norm_silu. Units: bands of pixels for the sums, which are joined in one order; then rows.
void norm_silu(const Workers& workers, const at::Tensor& x_CTYX, const NormSiluCall& call,
               at::Tensor& y_CTYX);

}  // namespace cogvx::cpu

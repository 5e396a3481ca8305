#pragma once

#include "core/ops/cpu/kernels.h"

// Each is defined in a file of its own, compiled for its instruction set; never called on a CPU
// without it.
namespace cogvx::cpu {

const Kernels& plain_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();

}  // namespace cogvx::cpu

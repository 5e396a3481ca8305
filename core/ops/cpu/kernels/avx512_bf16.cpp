#include "core/ops/cpu/kernels/table.h"

namespace cogvx::cpu {

const Kernels& avx512_bf16_kernels() { return kTable; }

}  // namespace cogvx::cpu

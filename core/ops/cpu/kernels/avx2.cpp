#include "core/ops/cpu/kernels/table.h"

namespace cogvx::cpu {

const Kernels& avx2_kernels() { return kTable; }

}  // namespace cogvx::cpu

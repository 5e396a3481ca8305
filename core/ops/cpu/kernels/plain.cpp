#include "core/ops/cpu/kernels/table.h"

namespace cogvx::cpu {

const Kernels& plain_kernels() { return kTable; }

}  // namespace cogvx::cpu

#include "core/pipeline/finite.h"

#include <ATen/TensorOperators.h>

namespace cogvx {

// x - x is 0 for a finite x alone.
bool all_finite(const at::Tensor& tensor) { return (tensor - tensor).eq(0).all().item<bool>(); }

std::string cure_for_overflow(at::ScalarType dtype) {
  if (dtype == at::kHalf) return "use --dtype bf16 or fp32";
  return dtype == at::kBFloat16
             ? "try --dtype fp32, and check that the checkpoint is whole"
             : "check that the checkpoint is whole (--dtype bf16 reaches no further)";
}

}  // namespace cogvx

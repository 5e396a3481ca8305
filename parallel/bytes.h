#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <functional>
#include <numeric>

#include "parallel/group.h"

namespace cogvx {

inline int64_t total(const Splits& splits) {
  return std::accumulate(splits.begin(), splits.end(), int64_t{0});
}

inline int64_t byte_count(at::IntArrayRef sizes, at::ScalarType dtype) {
  return std::accumulate(sizes.begin(), sizes.end(), static_cast<int64_t>(c10::elementSize(dtype)),
                         std::multiplies<>());
}

// The same memory as one row of bytes; the tensor must be contiguous.
inline at::Tensor as_bytes(const at::Tensor& tensor) { return tensor.flatten().view(at::kByte); }

}  // namespace cogvx

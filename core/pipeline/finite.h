#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace cogvx {

bool all_finite(const at::Tensor& tensor);
// What to do about values of this dtype that are not: the end of a NumericError's line.
std::string cure_for_overflow(at::ScalarType dtype);

}  // namespace cogvx

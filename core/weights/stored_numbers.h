#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>
#include <string>

#include "core/weights/safetensors.h"

namespace cogvx {

// The bytes of a tensor that holds finite F32, F16 or BF16 numbers. `label` names the file. Throws
// DataError where it holds others, NaN or infinity.
std::span<const std::byte> checked_numbers(const StoredTensor& tensor,
                                           std::span<const std::byte> file,
                                           const std::string& label);

// The same numbers in memory of their own, in the dtype and shape they are stored in.
at::Tensor copy_numbers(const StoredTensor& tensor, std::span<const std::byte> file);

}  // namespace cogvx

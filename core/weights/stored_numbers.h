#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"

namespace cogvx {

// The bytes of a tensor that holds finite F32, F16 or BF16 numbers. `label` names the file. Throws
// DataError where it holds others, NaN or infinity.
std::span<const std::byte> checked_numbers(const StoredTensor& tensor,
                                           std::span<const std::byte> file,
                                           const std::string& label);

// The same numbers where they lie, read-only, in the dtype and shape they are stored in; a copy
// where they lie at an odd address. The tensor holds the range.
at::Tensor view_numbers(const StoredTensor& tensor, std::shared_ptr<const MappedRange> range);

// The same numbers in memory of their own, in the dtype and shape they are stored in.
at::Tensor copy_numbers(const StoredTensor& tensor, std::span<const std::byte> file);

}  // namespace cogvx

#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace cogvx {

// How many of the F32, F16 or BF16 numbers in `bytes`, at any alignment, are NaN or infinite; 0 for
// other dtypes.
size_t count_non_finite(std::span<const std::byte> bytes, const std::string& dtype);

}  // namespace cogvx

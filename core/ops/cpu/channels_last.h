#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Frames as the CPU computes on them: [C, T, Y, X] by name, [T, Y, X, C] in memory, so that the
// channels of a pixel are one row.
namespace cogvx::cpu {

at::Tensor empty_channels_last(at::IntArrayRef sizes_CTYX, const at::TensorOptions& options);
bool is_channels_last(const at::Tensor& x_CTYX);
// Itself where it lies so already. With `even`, an odd count of channels gets one more, of zeros.
at::Tensor channels_last(const at::Tensor& x_CTYX, bool even = false);

}  // namespace cogvx::cpu

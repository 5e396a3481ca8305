#pragma once

#include <ATen/core/Tensor.h>

namespace cogvx {

// RGB bytes [F, H, W, 3] -> pixels [3, F, H, W], -1 to 1: bytes / 255 * 2 - 1 in fp32, then rounded
// to `dtype` (diffusers: VideoProcessor).
at::Tensor pixels_from_bytes(const at::Tensor& rgb_FHWC, at::ScalarType dtype);

}  // namespace cogvx

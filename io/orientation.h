#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "io/frames.h"

namespace cogvx::io {

// Orientations are numbers 1 to 8 as EXIF counts them: 1 is upright, 2 mirrored left to right, 3
// turned by 180 degrees, 4 mirrored top to bottom, 5 transposed, 6 to be turned clockwise by 90
// degrees, 7 transversed, 8 to be turned counter-clockwise.

FrameSize upright_size(FrameSize stored, int orientation);
// The picture as it is to be seen.
Image upright(Image stored, int orientation);

// From a display matrix of libav (16.16 fixed point, row by row); none where it does not map pixels
// to pixels (30 degrees, say). A scale is passed over.
std::optional<int> matrix_orientation(const std::array<int32_t, 9>& matrix);

}  // namespace cogvx::io

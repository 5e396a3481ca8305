#pragma once

#include "io/frames.h"

namespace cogvx::io {

// What H.264 can take: where width or height is odd, its last column or row is repeated once.
// Returns `frames` itself where both are even.
FrameSource with_even_size(FrameSource frames);

}  // namespace cogvx::io

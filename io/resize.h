#pragma once

#include "core/base/monitor.h"
#include "io/frames.h"

namespace cogvx::io {

enum class ResizeMode {
  kStretch,  // to the size as it is, aspect lost: what diffusers' VideoProcessor does
  kCrop,     // the middle part that has the target's aspect
  kPad,      // all of it, in the middle of black
};

struct ResizeTo {
  FrameSize size;
  ResizeMode mode = ResizeMode::kStretch;
};

// Pillow's Lanczos on 8 bits, byte for byte: `resize((W, H), LANCZOS)` of an RGB picture,
// horizontal pass first. (Pillow 13 takes the vertical one first where the height shrinks by over
// twice what the width does, and differs there.) An equal size is a copy.
Image lanczos(ImageView image, FrameSize size);

// UsageError for a size below 1x1.
Image resize(ImageView image, const ResizeTo& target);

// A notice where stretching to `target` changes the aspect by more than 5 %.
void notice_stretch(FrameSize source, const ResizeTo& target, const Monitor& monitor);

}  // namespace cogvx::io

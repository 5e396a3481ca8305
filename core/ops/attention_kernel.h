#pragma once

namespace cogvx {

// What computes attention on a GPU; part of the Request, because each gives other bytes. The CPU
// has one of its own, called kMath.
enum class AttentionKernel { kMath, kFlash, kCudnn };

}  // namespace cogvx

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/weights/checkpoint.h"
#include "io/frames.h"

namespace cogvx::app {

// What is known of a kind of model beyond its checkpoint (configs/model_kinds.json).
struct ModelKind {
  std::string name;  // "cogvideox-2b", ..., or "custom"
  std::vector<io::FrameSize> sizes;
  std::vector<int64_t> frames;
  int64_t default_frames = 0;
  io::FrameRate frame_rate{8, 1};
  SchedulerKind scheduler = SchedulerKind::kDdim;
  bool fp16_safe = true;
};

// By layers, heads, channels, temporal patch and positions; any other model is "custom": trained at
// its config's sample size and length, with its own scheduler class.
ModelKind find_kind(const Checkpoint& checkpoint);

}  // namespace cogvx::app

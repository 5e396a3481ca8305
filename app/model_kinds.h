#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/weights/checkpoint.h"
#include "io/frames.h"

namespace cogvx::app {

// Sizes beside those that are listed: multiples of 16 whose sides lie within these.
struct SizeRule {
  int shortest_min = 0;
  int shortest_max = 0;
  int longest_max = 0;
};

// What is known of a kind of model beyond its checkpoint (configs/model_kinds.json).
struct ModelKind {
  std::string name;                  // "cogvideox-2b", ..., or "custom"
  std::vector<io::FrameSize> sizes;  // the first is the default
  std::optional<SizeRule> size_rule{};
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

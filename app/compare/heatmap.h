#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/frames.h"

namespace cogvx::app {

// Where a TEST differs from REF: per pixel the absolute difference of its bytes, as the mean of
// red, green and blue.
struct Heat {
  std::string name;
  io::FrameSize size;
  int frames = 0;
  int64_t worst_frame = 0;
  std::vector<float> mean_YX;   // over all frames
  std::vector<float> worst_YX;  // of the worst frame
};

struct HeatSource {
  io::FramesView reference;
  io::FramesView test;
  int64_t worst_frame = 0;
  std::string name;
};
Heat heat_of(const HeatSource& source);

// A row for each TEST: the mean and the worst frame, each with its scale; a column has one scale.
// All of one size, one or more.
io::Image draw_heatmap(const std::vector<Heat>& heats, const std::string& reference);

}  // namespace cogvx::app

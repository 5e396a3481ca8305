#pragma once

#include <cstdint>
#include <vector>

namespace cogvx::app {

// Index of the first frame that no other is worse than; -1: no frames.
template <typename Frame, typename IsWorse>
int64_t worst_of(const std::vector<Frame>& frames, const IsWorse& is_worse) {
  if (frames.empty()) return -1;
  size_t worst = 0;
  for (size_t i = 1; i < frames.size(); ++i) {
    if (is_worse(frames[i], frames[worst])) worst = i;
  }
  return static_cast<int64_t>(worst);
}

template <typename Frame>
double mean_of(const std::vector<Frame>& frames, double Frame::*member) {
  double sum = 0;
  for (const Frame& frame : frames) sum += frame.*member;
  return sum / static_cast<double>(frames.size());
}

}  // namespace cogvx::app

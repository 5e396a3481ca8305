#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace cogvx::io {

// Pixels.
struct FrameSize {
  int width = 0;
  int height = 0;

  // Bytes of one packed RGB24 frame.
  size_t bytes() const {
    return size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height);
  }
  bool operator==(const FrameSize&) const = default;
};

// Frames per second as an exact fraction.
struct FrameRate {
  int numerator = 0;
  int denominator = 1;

  bool operator==(const FrameRate&) const = default;
};

// One RGB24 picture `[H, W, 3]` owned by somebody else.
struct ImageView {
  const uint8_t* pixels = nullptr;
  FrameSize size;
};

// RGB24 frames `[F, H, W, 3]` owned by somebody else, packed without gaps.
struct FramesView {
  const uint8_t* pixels = nullptr;
  int count = 0;
  FrameSize size;

  ImageView operator[](int index) const {
    return {.pixels = pixels + static_cast<size_t>(index) * size.bytes(), .size = size};
  }
};

// One RGB24 picture `[H, W, 3]`.
struct Image {
  std::vector<uint8_t> pixels;
  FrameSize size;

  ImageView view() const { return {.pixels = pixels.data(), .size = size}; }
};

// RGB24 frames `[F, H, W, 3]`.
struct Frames {
  std::vector<uint8_t> pixels;
  int count = 0;
  FrameSize size;

  FramesView view() const { return {.pixels = pixels.data(), .count = count, .size = size}; }
};

// Frames made one at a time, so that not all are in memory: `frame` is asked for 0, 1, ... in
// order, and its answer is needed until the next question.
struct FrameSource {
  int count = 0;
  FrameSize size;
  std::function<ImageView(int)> frame;
};

// Called after each frame; what it throws ends the work and leaves no half-written file behind.
using FrameProgress = std::function<void(int done, int total)>;

}  // namespace cogvx::io

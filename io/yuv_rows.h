#pragma once

// YUV with coarser chroma to RGB, row by row, as the libraries behind Pillow compute it; knows no
// libav.

#include <cstddef>
#include <cstdint>
#include <span>

namespace cogvx::io {

// One chroma sample stands for 2^shift_x by 2^shift_y pixels.
struct ChromaPlane {
  const uint8_t* data = nullptr;
  ptrdiff_t stride = 0;  // bytes from row to row
  int width = 0;
  int height = 0;
  int shift_x = 0;
  int shift_y = 0;
};

struct Yuv {
  uint8_t y = 0;
  uint8_t u = 0;
  uint8_t v = 0;
};

// `upsample`: row `y` of the picture, as wide as `row`. `to_rgb`: three bytes.
struct YuvRules {
  void (*upsample)(const ChromaPlane& plane, int y, std::span<uint8_t> row);
  void (*to_rgb)(Yuv pixel, uint8_t* rgb);
};

// libjpeg-turbo: full range BT.601, triangle filter where a factor is 2, else repeated samples.
extern const YuvRules kJpegRules;
// libwebp: limited range BT.601 from 4:2:0 with its own rounding.
extern const YuvRules kWebpRules;

}  // namespace cogvx::io

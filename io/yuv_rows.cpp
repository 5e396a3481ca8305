#include "io/yuv_rows.h"

#include <algorithm>

namespace cogvx::io {
namespace {

uint8_t clipped(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// The two rows of samples around a row of pixels, 3/4 and 1/4 of the way, or twice the same at an
// edge.
struct RowPair {
  const uint8_t* near = nullptr;
  const uint8_t* far = nullptr;
};

const uint8_t* sample_row(const ChromaPlane& plane, int row) {
  return plane.data + std::clamp(row, 0, plane.height - 1) * plane.stride;
}

RowPair rows_around(const ChromaPlane& plane, int y) {
  const int row = y / 2;
  return {.near = sample_row(plane, row), .far = sample_row(plane, y % 2 == 0 ? row - 1 : row + 1)};
}

// The sample a pixel lies in, and the next one on its side of it; itself at an edge.
struct ColumnPair {
  size_t near;
  size_t far;
};

ColumnPair columns_around(const ChromaPlane& plane, size_t x) {
  const size_t column = x / 2;
  const size_t last = static_cast<size_t>(plane.width) - 1;
  if (x % 2 == 0) return {.near = column, .far = column == 0 ? 0 : column - 1};
  return {.near = column, .far = std::min(column + 1, last)};
}

void repeat_samples(const ChromaPlane& plane, int y, std::span<uint8_t> row) {
  const uint8_t* samples = sample_row(plane, y >> plane.shift_y);
  for (size_t x = 0; x < row.size(); ++x) row[x] = samples[x >> plane.shift_x];
}

void jpeg_upsample(const ChromaPlane& plane, int y, std::span<uint8_t> row) {
  // Pictures of one or two samples a row are too narrow for libjpeg's filter.
  const bool smooth_x = plane.shift_x == 1 && plane.width > 2;
  if (plane.shift_y == 0 && smooth_x) {
    const uint8_t* samples = sample_row(plane, y);
    for (size_t x = 0; x < row.size(); ++x) {
      const auto [near, far] = columns_around(plane, x);
      row[x] = static_cast<uint8_t>((3 * samples[near] + samples[far] + (x % 2 == 0 ? 1 : 2)) >> 2);
    }
  } else if (plane.shift_y == 1 && plane.shift_x == 0) {
    const RowPair rows = rows_around(plane, y);
    const int bias = y % 2 == 0 ? 1 : 2;
    for (size_t x = 0; x < row.size(); ++x) {
      row[x] = static_cast<uint8_t>((3 * rows.near[x] + rows.far[x] + bias) >> 2);
    }
  } else if (plane.shift_y == 1 && smooth_x) {
    const RowPair rows = rows_around(plane, y);
    const auto sum = [&](size_t column) { return 3 * rows.near[column] + rows.far[column]; };
    for (size_t x = 0; x < row.size(); ++x) {
      const auto [near, far] = columns_around(plane, x);
      row[x] = static_cast<uint8_t>((3 * sum(near) + sum(far) + (x % 2 == 0 ? 8 : 7)) >> 4);
    }
  } else {
    repeat_samples(plane, y, row);
  }
}

// 16 bits behind the point.
void jpeg_to_rgb(Yuv pixel, uint8_t* rgb) {
  constexpr int kHalf = 1 << 15;
  constexpr int kRedOfV = 91881;    // 1.402
  constexpr int kBlueOfU = 116130;  // 1.772
  constexpr int kGreenOfU = 22554;  // 0.34414
  constexpr int kGreenOfV = 46802;  // 0.71414
  const int u = pixel.u - 128;
  const int v = pixel.v - 128;
  rgb[0] = clipped(pixel.y + ((kRedOfV * v + kHalf) >> 16));
  rgb[1] = clipped(pixel.y + ((kHalf - kGreenOfU * u - kGreenOfV * v) >> 16));
  rgb[2] = clipped(pixel.y + ((kBlueOfU * u + kHalf) >> 16));
}

void webp_upsample(const ChromaPlane& plane, int y, std::span<uint8_t> row) {
  if (plane.shift_x != 1 || plane.shift_y != 1) {
    repeat_samples(plane, y, row);
    return;
  }
  const RowPair rows = rows_around(plane, y);
  for (size_t x = 0; x < row.size(); ++x) {
    const auto [near, far] = columns_around(plane, x);
    const int own = rows.near[near];
    const int sides = rows.near[far] + rows.far[near];
    const int mean = (own + 3 * sides + rows.far[far] + 8) >> 3;
    row[x] = static_cast<uint8_t>((mean + own) >> 1);
  }
}

// 14 bits behind the point, of which 8 go with each product.
void webp_to_rgb(Yuv pixel, uint8_t* rgb) {
  const auto product = [](int value, int factor) { return (value * factor) >> 8; };
  const int luma = product(pixel.y, 19077);
  rgb[0] = clipped((luma + product(pixel.v, 26149) - 14234) >> 6);
  rgb[1] = clipped((luma - product(pixel.u, 6419) - product(pixel.v, 13320) + 8708) >> 6);
  rgb[2] = clipped((luma + product(pixel.u, 33050) - 17685) >> 6);
}

}  // namespace

const YuvRules kJpegRules{.upsample = jpeg_upsample, .to_rgb = jpeg_to_rgb};
const YuvRules kWebpRules{.upsample = webp_upsample, .to_rgb = webp_to_rgb};

}  // namespace cogvx::io

#include "io/orientation.h"

#include <cstring>
#include <utility>

namespace cogvx::io {
namespace {

// How to find the stored pixel of a seen one: first mirror the seen picture, then swap its axes.
struct Steps {
  bool mirror_x = false;
  bool mirror_y = false;
  bool transpose = false;
};

Steps steps_of(int orientation) {
  constexpr std::array<Steps, 8> kSteps{Steps{},
                                        Steps{true, false, false},
                                        Steps{true, true, false},
                                        Steps{false, true, false},
                                        Steps{false, false, true},
                                        Steps{true, false, true},
                                        Steps{true, true, true},
                                        Steps{false, true, true}};
  return kSteps.at(static_cast<size_t>(orientation - 1));
}

int sign(int32_t value) { return (value > 0) - (value < 0); }

}  // namespace

FrameSize upright_size(FrameSize stored, int orientation) {
  if (steps_of(orientation).transpose) std::swap(stored.width, stored.height);
  return stored;
}

Image upright(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const Steps steps = steps_of(orientation);
  Image seen{.pixels = std::vector<uint8_t>(stored.pixels.size()),
             .size = upright_size(stored.size, orientation)};
  uint8_t* target = seen.pixels.data();
  for (int y = 0; y < seen.size.height; ++y) {
    const int my = steps.mirror_y ? seen.size.height - 1 - y : y;
    for (int x = 0; x < seen.size.width; ++x, target += 3) {
      const int mx = steps.mirror_x ? seen.size.width - 1 - x : x;
      const auto column = static_cast<size_t>(steps.transpose ? my : mx);
      const auto row = static_cast<size_t>(steps.transpose ? mx : my);
      const size_t pixel = row * static_cast<size_t>(stored.size.width) + column;
      std::memcpy(target, stored.pixels.data() + 3 * pixel, 3);
    }
  }
  return seen;
}

std::optional<int> matrix_orientation(const std::array<int32_t, 9>& matrix) {
  // Stored (p, q) is seen at (a p + c q, b p + d q).
  const int a = sign(matrix[0]);
  const int b = sign(matrix[1]);
  const int c = sign(matrix[3]);
  const int d = sign(matrix[4]);
  if (b == 0 && c == 0 && a * d != 0) return a > 0 ? (d > 0 ? 1 : 4) : (d > 0 ? 2 : 3);
  if (a == 0 && d == 0 && b * c != 0) return b > 0 ? (c > 0 ? 5 : 6) : (c > 0 ? 8 : 7);
  return {};
}

}  // namespace cogvx::io

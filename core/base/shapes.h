#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>

namespace cogvx {

// The unit of all row-wise work: 64 rows at a global offset that is a multiple of 64.
constexpr int64_t kBlockRows = 64;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Half-open range of rows.
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  auto operator<=>(const RowRange&) const = default;
};

inline RowRange intersect(RowRange a, RowRange b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// "[30,64]" for messages.
inline std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace cogvx

#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

struct Moments {
  float mean;
  float inverse_deviation;
};

template <typename T>
COGVX_INLINE Moments row_moments(const T* x, int64_t width, float eps) {
  Vec sum = zero();
  over(width, [&](auto at) { sum = sum + at.of(x); });
  const float mean = sum_of(sum) / static_cast<float>(width);
  Vec squares = zero();
  over(width, [&](auto at) {
    // Lanes behind the row would count as well.
    const Vec d = at.only(at.of(x) - fill(mean));
    squares = multiply_add(d, d, squares);
  });
  const float variance = sum_of(squares) / static_cast<float>(width);
  return {mean, 1.0f / __builtin_sqrtf(variance + eps)};
}

// (x - mean) / deviation * weight + bias
template <typename Place, typename T>
COGVX_INLINE Vec normed(Place at, const T* x, const Moments& m, const float* weight,
                        const float* bias) {
  return multiply_add((at.of(x) - fill(m.mean)) * fill(m.inverse_deviation), at.of(weight),
                      at.of(bias));
}

template <bool kModulated, typename T>
COGVX_INLINE void norm_rows_of(const NormRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.width;
    T* y = c.y + r * c.width;
    const Moments m = row_moments(x, c.width, c.eps);
    over(c.width, [&](auto at) {
      Vec n = normed(at, x, m, c.weight, c.bias);
      if constexpr (kModulated) n = multiply_add(n, fill(1.0f) + at.of(c.scale), at.of(c.shift));
      at.put(y, n);
    });
  }
}

template <typename T>
void norm_rows(const NormRows<T>& call) {
  if (call.scale != nullptr) {
    norm_rows_of<true>(call);
  } else {
    norm_rows_of<false>(call);
  }
}

template <typename T>
void gated_add_rows(const GatedAddRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    T* x = c.x + r * c.width;
    const T* y = c.y + r * c.width;
    over(c.width, [&](auto at) { at.put(x, multiply_add(at.of(c.gate), at.of(y), at.of(x))); });
  }
}

// n cos + (its pair's other, the first one's negated) sin
COGVX_INLINE Vec rotated(Vec n, Vec cos, Vec sin) {
  return multiply_add(negate_even(swap_neighbours(n)), sin, n * cos);
}

template <bool kRotated, typename T>
COGVX_INLINE void head_rows_of(const HeadRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.x_stride;
    T* y = c.y + r * c.y_stride;
    const Moments m = row_moments(x, c.width, c.eps);
    over(c.width, [&](auto at) {
      Vec n = normed(at, x, m, c.weight, c.bias);
      if constexpr (kRotated)
        n = rotated(n, at.of(c.cos + r * c.width), at.of(c.sin + r * c.width));
      at.put(y, n);
    });
  }
}

template <typename T>
void head_rows(const HeadRows<T>& c) {
  if (c.weight == nullptr) {
    for (int64_t r = 0; r < c.rows; ++r)
      __builtin_memcpy(c.y + r * c.y_stride, c.x + r * c.x_stride, sizeof(T) * c.width);
  } else if (c.cos != nullptr) {
    head_rows_of<true>(c);
  } else {
    head_rows_of<false>(c);
  }
}

}  // namespace
}  // namespace cogvx::cpu
